package pglocal

import (
	"os"
	"os/exec"
	"syscall"
)

// asUser runs a command as another user when we are root, and lets it die with us.
func asUser(cmd *exec.Cmd, uid, gid int) {
	// SIGINT is Postgres's fast shutdown.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGINT}
	if os.Getuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
}
