package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// setUpMounts makes this process's mount namespace the cluster's own. Whatever the components write to places that they
// choose themselves ends in the state folder or vanishes with the namespace, so that down has nothing to look for.
func setUpMounts() error {
	// Private: no mount of ours reaches the host. Then shared again within, for pods that want mounts to propagate.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	resolver, err := filepath.EvalSymlinks("/etc/resolv.conf") // before /run is hidden, where it may lead
	if err != nil {
		resolver = "/etc/resolv.conf"
	}
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	if err := bindFile(filepath.Join(etc, "resolv.conf"), resolver); err != nil {
		return err
	}
	if err := coverVar(); err != nil {
		return err
	}
	if err := pretendTunables(); err != nil {
		return err
	}
	return syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, "")
}

// coverVar replaces /var/lib and /var/log by folders of the state folder, which itself stays where it is.
func coverVar() error {
	lib, log := filepath.Join(node, "lib"), filepath.Join(node, "log")
	inside := filepath.Join(lib, filepath.Base(state))
	for _, dir := range []string{inside, log} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for _, bind := range [][2]string{{log, "/var/log"}, {state, inside}, {lib, "/var/lib"}} {
		if err := syscall.Mount(bind[0], bind[1], "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
			return fmt.Errorf("bind %s to %s: %w", bind[0], bind[1], err)
		}
	}
	return nil
}

// tunables are the kernel parameters that the kubelet sets to these values when it finds others. They are the whole
// machine's, not the namespace's.
var tunables = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// pretendTunables shows the kubelet the values it wants, in files that cover the real ones, so that it leaves the
// machine's alone.
func pretendTunables() error {
	dir := filepath.Join(etc, "tunables")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, value := range tunables {
		file := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if target := "/proc/sys/" + name; exists(target) {
			if err := bindFile(file, target); err != nil {
				return err
			}
		}
	}
	return nil
}

// bindFile covers the file target by another one. It makes target when there is none, which happens in the new /run only
// and in a machine without a resolv.conf.
func bindFile(file, target string) error {
	if !exists(target) {
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(target, nil, 0o644); err != nil {
			return err
		}
	}
	if err := syscall.Mount(file, target, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", file, target, err)
	}
	return nil
}
