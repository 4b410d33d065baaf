package connect

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/config"
)

// mostKeys is how many keys are offered in one login: an OpenSSH server hangs up after six tries (sshd_config, MaxAuthTries).
const mostKeys = 5

// SSHKeys reads the keys that open the nodes.
func SSHKeys(c config.Probe) ([]ssh.Signer, error) {
	files := c.Keys()
	if len(files) == 0 {
		return nil, errors.New("probe.ssh_key_file names no key that opens the nodes")
	}
	if len(files) > mostKeys {
		return nil, fmt.Errorf("probe.ssh_key_files: %d keys, of which a node hears at most %d in one login", len(files), mostKeys)
	}
	var keys []ssh.Signer
	for _, file := range files {
		text, err := os.ReadFile(file.Path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.Setting, err)
		}
		key, err := ssh.ParsePrivateKey(text)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", file.Setting, file.Path, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// patience is how much longer than a probe bootman waits: a node in debug mode is slow, and there are few of them.
const patience = 4

// Entrance says how bootman gets into a node, on the ports and with the keys that a probe uses.
func Entrance(c config.Probe, keys ...ssh.Signer) func(host, ip string) bootman.Target {
	return func(host, ip string) bootman.Target {
		t := bootman.Target{Host: host, User: c.SSHUser, Keys: keys, Timeout: patience * c.Timeout}
		if ip == "" {
			ip = host
		}
		for _, port := range c.SSHPorts {
			if real, mapped := c.PortMap[port]; mapped {
				port = real
			}
			t.Addresses = append(t.Addresses, net.JoinHostPort(ip, strconv.Itoa(port)))
		}
		return t
	}
}
