package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// runInit is PID 1 of the cluster: it prepares the namespaces it was started in, starts the components, starts again
// those that end, and reaps what they leave. When it ends, the kernel ends everything.
func runInit() error {
	if os.Getpid() != 1 {
		return fmt.Errorf("init is for the supervisor to start")
	}
	if err := setUpMounts(); err != nil {
		return err
	}
	if err := setUpNetwork(); err != nil {
		return err
	}
	if err := openRelays(); err != nil {
		return err
	}
	children := newChildren(environment())
	for _, c := range components() {
		go keepRunning(c, children)
	}
	children.reap() // never returns
	return nil
}

// openRelays offers the apiserver and the node's port 80 to the host.
func openRelays() error {
	for socket, address := range map[string]string{
		apiSock:  net.JoinHostPort("127.0.0.1", strconv.Itoa(apiPort)),
		httpSock: net.JoinHostPort(nodeIP, "80"),
	} {
		listener, err := net.Listen("unix", socket)
		if err != nil {
			return err
		}
		if err := os.Chmod(socket, 0o600); err != nil {
			return err
		}
		go relay(listener, "tcp", address)
	}
	return nil
}

// tooOften is how many ends of a component, before the cluster was ever ready, up takes for a failure. A few are normal:
// nothing waits for etcd and the apiserver.
const tooOften = 15

// keepRunning starts c once its binary and what it needs are there, and again one second after it has ended.
func keepRunning(c component, children *children) {
	path := c.path() // once: the sources it depends on may change while the cluster runs
	for !exists(path) || c.needs != "" && !exists(c.needs) {
		time.Sleep(200 * time.Millisecond)
	}
	for ends := 1; ; ends++ {
		status, err := runOnce(c, path, children)
		fmt.Printf("%s %s ended: %v %v\n", time.Now().Format(time.TimeOnly), c.name, status, err)
		if ends == tooOften && !exists(readyFile) && !exists(failedFile) { // the first to fail is the cause of others
			// up watches for this file; when it cannot be written, up finds out by its time limit
			_ = os.WriteFile(failedFile, []byte(c.name), 0o644)
		}
		time.Sleep(time.Second)
	}
}

func runOnce(c component, path string, children *children) (string, error) {
	log, err := os.OpenFile(c.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return "", err
	}
	defer log.Close()
	ended, err := children.start(path, append([]string{c.name}, c.arguments...), log)
	if err != nil {
		return "", err
	}
	status := <-ended
	return fmt.Sprintf("exit %d, signal %d", status.ExitStatus(), status.Signal()), nil
}

// children are the processes that init has started. All processes whose parents have gone become children of PID 1 too,
// so one loop waits for all of them and tells them apart.
type children struct {
	environment []string // of all of them

	mu    sync.Mutex
	ended map[int]chan syscall.WaitStatus
}

func newChildren(environment []string) *children {
	return &children{environment: environment, ended: map[int]chan syscall.WaitStatus{}}
}

// start starts a process and returns what will receive its status.
func (c *children) start(path string, arguments []string, log *os.File) (<-chan syscall.WaitStatus, error) {
	c.mu.Lock() // until the process is known: it may end at once
	defer c.mu.Unlock()
	process, err := os.StartProcess(path, arguments, &os.ProcAttr{
		Dir: "/", Env: c.environment, Files: []*os.File{nil, log, log},
	})
	if err != nil {
		return nil, err
	}
	ended := make(chan syscall.WaitStatus, 1)
	c.ended[process.Pid] = ended
	return ended, process.Release()
}

// reap collects every process that ends.
func (c *children) reap() {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGCHLD)
	for range changed {
		c.reapAll()
	}
}

func (c *children) reapAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if ended, ok := c.ended[pid]; ok {
			ended <- status
			delete(c.ended, pid)
		}
	}
}
