package connect

import (
	"fmt"
	"net"
	"os"
	"strconv"

	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/config"
)

// SSHKey reads the key that opens the nodes.
func SSHKey(c config.Probe) (ssh.Signer, error) {
	text, err := os.ReadFile(c.SSHKeyFile)
	if err != nil {
		return nil, fmt.Errorf("probe.ssh_key_file: %w", err)
	}
	key, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("probe.ssh_key_file %s: %w", c.SSHKeyFile, err)
	}
	return key, nil
}

// patience is how much longer than a probe bootman waits: a node in debug mode is slow, and there are few of them.
const patience = 4

// Entrance says how bootman gets into a node, on the ports and with the key that a probe uses.
func Entrance(c config.Probe, key ssh.Signer) func(host, ip string) bootman.Target {
	return func(host, ip string) bootman.Target {
		t := bootman.Target{Host: host, User: c.SSHUser, Key: key, Timeout: patience * c.Timeout}
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
