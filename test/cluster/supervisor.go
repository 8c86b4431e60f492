package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// The supervisor is the cluster's one process in the host's namespaces: it starts init in namespaces of its own, and
// listens on the host's loopback for kubectl and for callbacks.

// spawnSupervisor starts the supervisor detached from this process and its terminal.
func spawnSupervisor() error {
	log, err := os.OpenFile(filepath.Join(logs, "supervisor.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	command := exec.Command(self, "supervise")
	command.Dir = "/"
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return err
	}
	if err := os.WriteFile(pidFile, []byte(strconv.Itoa(command.Process.Pid)), 0o644); err != nil {
		return err
	}
	return command.Process.Release()
}

// supervise runs init until it ends.
func supervise() error {
	for port, socket := range map[int]string{apiPort: apiSock, hostHTTPPort: httpSock} {
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return err
		}
		go relay(listener, "unix", socket)
	}
	// The kernel kills init when the thread that started it ends, not the process: this thread must not end before.
	runtime.LockOSThread()
	command := exec.Command("/proc/self/exe", "init")
	command.Dir = "/"
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := command.Start(); err != nil {
		return err
	}
	if err := os.WriteFile(initPIDFile, []byte(strconv.Itoa(command.Process.Pid)), 0o644); err != nil {
		return err
	}
	return command.Wait()
}

// supervisorPID is the running supervisor's, or 0.
func supervisorPID() int { return pidOf(pidFile, "supervise") }

// initPID is the number, on the host, of the running cluster's PID 1, or 0.
func initPID() int { return pidOf(initPIDFile, "init") }

// pidOf reads a process number from file and checks that the process is this program in that role: after a crash the
// number may belong to another one.
func pidOf(file, role string) int {
	content, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(string(content))
	if err != nil {
		return 0
	}
	commandLine, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !bytes.HasSuffix(commandLine, []byte("\x00"+role+"\x00")) {
		return 0
	}
	return pid
}

// down ends the cluster, if one runs, and removes all it leaves.
func down() error {
	pids := []int{initPID(), supervisorPID()} // init first: the supervisor ends when it has
	for _, pid := range pids {
		if err := end(pid); err != nil {
			return err
		}
	}
	if err := removeCgroups(); err != nil {
		return err
	}
	return removeState()
}

// end kills a process and waits until it has ended. The first process of a namespace ends after all others in it.
func end(pid int) error {
	if pid == 0 {
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("end process %d: %w", pid, err)
	}
	for range 600 {
		if ended(pid) {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("process %d does not end", pid)
}

// ended reports whether a process has ended, also when nobody has collected its status yet.
func ended(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := bytes.Cut(stat, []byte(") ")) // the name before it is ours and has no parenthesis
	return bytes.HasPrefix(rest, []byte("Z")) || bytes.HasPrefix(rest, []byte("X"))
}

// removeState removes the state folder. Mounts of the namespace may hold it for a moment after the last process ended.
func removeState() error {
	var err error
	for range 100 {
		if err = os.RemoveAll(state); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

// removeCgroups removes the pods' cgroups, which outlive their processes. The hierarchies are several with cgroup v1 and
// one with v2.
func removeCgroups() error {
	var roots []string
	for _, pattern := range []string{"/sys/fs/cgroup/kubepods", "/sys/fs/cgroup/*/kubepods"} {
		found, _ := filepath.Glob(pattern) // the patterns are well-formed
		roots = append(roots, found...)
	}
	for _, root := range roots {
		if err := removeCgroup(root); err != nil {
			return err
		}
	}
	return nil
}

// removeCgroup removes a cgroup and those below it. Its last processes may still be on their way out.
func removeCgroup(path string) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeCgroup(filepath.Join(path, entry.Name())); err != nil {
				return err
			}
		}
	}
	for range 100 {
		err = syscall.Rmdir(path)
		if err == nil || errors.Is(err, syscall.ENOENT) {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("remove cgroup %s: %w", path, err)
}
