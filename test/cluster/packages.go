package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// A debianPackage is needed for the file it brings, wherever that came from.
type debianPackage struct {
	name string
	file string // a program, or a path when it starts with a slash
}

// cniBin is where Debian's containernetworking-plugins are.
const cniBin = "/usr/lib/cni"

var debianPackages = []debianPackage{
	{"runc", "runc"},
	{"containernetworking-plugins", cniBin + "/bridge"},
	{"iptables", "iptables"}, // the CNI plugin portmap runs it
	{"nftables", "nft"},      // kube-proxy runs it
	{"ipset", "ipset"},       // what enforces NetworkPolicies runs it, and iptables
	{"conntrack", "conntrack"},
	{"iproute2", "ip"},
	{"util-linux", "nsenter"},
}

// missingPackages are the packages whose file is not on this machine.
func missingPackages() []string {
	var missing []string
	for _, p := range debianPackages {
		if _, err := exec.LookPath(p.file); err != nil && !exists(p.file) {
			missing = append(missing, p.name)
		}
	}
	return missing
}

// installPackages installs what is missing of the Debian packages. The package lists are fetched only when those that
// the machine has do not do.
func installPackages(ctx context.Context, packages []string, log io.Writer) error {
	if len(packages) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New("this is no Debian: please install what brings " + strings.Join(packages, ", "))
	}
	install := append([]string{"install", "-y", "--no-install-recommends"}, packages...)
	if apt(ctx, log, install...) == nil {
		return nil
	}
	if err := apt(ctx, log, "update"); err != nil {
		return err
	}
	return apt(ctx, log, install...)
}

func apt(ctx context.Context, log io.Writer, arguments ...string) error {
	command := exec.CommandContext(ctx, "apt-get", arguments...)
	command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	command.Stdout, command.Stderr = log, log
	if err := command.Run(); err != nil {
		return fmt.Errorf("apt-get %s: %w", arguments[0], err)
	}
	return nil
}
