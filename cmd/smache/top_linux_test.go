package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// A screen is a terminal that a program runs in: the other end of a pseudo-terminal.
type screen struct {
	t       *testing.T
	master  *os.File
	slave   *os.File
	cmd     *exec.Cmd
	settled *unix.Termios // of the terminal before
	ended   chan struct{}

	mu   sync.Mutex
	text []byte // all that was written
}

// startOn runs smache in a terminal of that size.
func startOn(t *testing.T, width, height int, env []string, args ...string) *screen {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{t: t, master: master, slave: slave, ended: make(chan struct{})}
	s.resize(width, height)
	s.settled = s.termios()
	s.cmd = exec.Command(binary, args...)
	s.cmd.Env = cleanEnvironment(append([]string{"TERM=xterm", "NO_COLOR="}, env...)...)
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = slave, slave, slave
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.text = append(s.text, buf[:n]...)
			s.mu.Unlock()
		}
	}()
	go func() {
		_ = s.cmd.Wait() // its code is read from ProcessState
		close(s.ended)
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.ended
		_, _ = slave.Close(), master.Close()
	})
	return s
}

func (s *screen) termios() *unix.Termios {
	s.t.Helper()
	is, err := unix.IoctlGetTermios(int(s.slave.Fd()), unix.TCGETS)
	if err != nil {
		s.t.Fatal(err)
	}
	return is
}

// resize changes the terminal's size, of which the kernel tells the program.
func (s *screen) resize(width, height int) {
	s.t.Helper()
	size := unix.Winsize{Col: uint16(width), Row: uint16(height)}
	if err := unix.IoctlSetWinsize(int(s.master.Fd()), unix.TIOCSWINSZ, &size); err != nil {
		s.t.Fatal(err)
	}
}

func (s *screen) press(keys string) {
	s.t.Helper()
	if _, err := s.master.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

func (s *screen) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.text)
}

// picture gives the last whole picture, with its colours or without.
func (s *screen) picture(colors bool) (lines []string) {
	text := s.all()
	end := strings.LastIndex(text, "\x1b[J")
	begin := strings.LastIndex(text[:max(end, 0)], "\x1b[H")
	if begin < 0 {
		return nil
	}
	text = strings.ReplaceAll(strings.ReplaceAll(text[begin+3:end], "\x1b[0m\x1b[K", ""), "\x1b[K", "")
	for line := range strings.SplitSeq(text, "\r\n") {
		if !colors {
			line = uncolored(line)
		}
		lines = append(lines, line)
	}
	return lines
}

// await waits for a picture that is as wanted.
func (s *screen) await(what string, ok func(lines []string) bool) {
	s.t.Helper()
	defer func() {
		if s.t.Failed() {
			s.t.Logf("the picture is\n%s", strings.Join(s.picture(false), "\n"))
		}
	}()
	poll(s.t, what, func() bool { return ok(s.picture(false)) })
}

// mustEnd waits for the end: the terminal is as it was.
func (s *screen) mustEnd() {
	s.t.Helper()
	poll(s.t, "the program ends", func() bool {
		select {
		case <-s.ended:
			return true
		default:
			return false
		}
	})
	if code := s.cmd.ProcessState.ExitCode(); code != exitOK {
		s.t.Errorf("exit code %d", code)
	}
	if now := s.termios(); *now != *s.settled {
		s.t.Errorf("the terminal is %+v, was %+v", now, s.settled)
	}
	poll(s.t, "the other screen is left", func() bool { return strings.HasSuffix(s.all(), leaveScreen) })
	if text := s.all(); !strings.HasPrefix(text, enterScreen) {
		s.t.Errorf("it begins with %q", text[:min(len(text), 40)])
	}
}

// fits says that a picture fits a terminal.
func fits(lines []string, width, height int) bool {
	for _, line := range lines {
		if utf8.RuneCountInString(line) > width {
			return false
		}
	}
	return len(lines) > 3 && len(lines) <= height
}

// TestTop looks at a cluster of three in a terminal: every member has its figures,
// also after the terminal was made smaller and wider; keys sort, and q ends it.
func TestTop(t *testing.T) {
	t.Parallel()
	nodes := threeNodes(t)
	stop := traffic(t, nodes...)
	defer stop()
	s := startOn(t, 120, 40, nil, "top", "--server", nodes[0].address, "--every", "100ms")
	var names []string // asked for now: a frozen node does not tell
	for _, p := range nodes {
		names = append(names, nodeName(p))
	}
	row := func(lines []string, name string) string {
		for _, line := range lines {
			if strings.HasPrefix(line, name+" ") {
				return line
			}
		}
		return ""
	}
	s.await("all members have figures", func(lines []string) bool {
		for _, name := range names {
			if line := row(lines, name); !strings.Contains(line, " serving ") || strings.Count(line, "%") != 3 || !strings.Contains(line, "MiB") {
				return false
			}
		}
		return strings.HasPrefix(lines[0], "Smache  3 nodes, serving") && fits(lines, 120, 40)
	})
	s.await("there are sparklines", func(lines []string) bool {
		return len(lines) > 5 && strings.HasPrefix(lines[2], "requests ") && strings.ContainsAny(lines[2], "▂▃▄▅▆▇█") && strings.HasPrefix(lines[5], "p99 ")
	})
	if !strings.Contains(strings.Join(s.picture(true), ""), "\x1b["+green+"m") {
		t.Error("nothing is coloured")
	}
	s.resize(50, 12)
	s.await("it fits a smaller terminal", func(lines []string) bool {
		return fits(lines, 50, 12) && strings.HasPrefix(lines[len(lines)-1], "q quit")
	})
	s.resize(200, 50)
	s.await("it uses a larger one", func(lines []string) bool { return fits(lines, 200, 50) && !fits(lines, 100, 50) })
	s.press("n")
	s.await("it is sorted by names", func(lines []string) bool {
		at := strings.Index(strings.Join(lines, "\n"), "NODE*")
		first := strings.Index(strings.Join(lines, "\n"), "\n"+names[0])
		last := strings.Index(strings.Join(lines, "\n"), "\n"+names[2])
		return at >= 0 && at < first && first < last
	})
	nodes[2].signal(syscall.SIGSTOP)
	s.await("a frozen node shows", func(lines []string) bool {
		line := row(lines, names[2])
		return (strings.Contains(line, "no answer") || strings.Contains(line, "silent")) && strings.Contains(lines[0], "1 of 3 nodes not answering") &&
			strings.Contains(row(lines, names[1]), "%")
	})
	nodes[2].signal(syscall.SIGCONT)
	s.press("q")
	s.mustEnd()
}

// TestTopEnds: without colours where they are not wanted; on SIGTERM and on Ctrl-C, and
// when the node is not there, the terminal is put back.
func TestTopEnds(t *testing.T) {
	p := serve(t, nil)
	s := startOn(t, 80, 24, []string{"NO_COLOR=1"}, "top", "--server", p.address)
	s.await("the node is shown", func(lines []string) bool {
		return len(lines) > 8 && strings.HasPrefix(lines[0], "Smache  1 node, serving")
	})
	for _, color := range []string{green, red, yellow, cyan, bold, faint} {
		if strings.Contains(s.all(), "\x1b["+color+"m") {
			t.Errorf("NO_COLOR is set, and the colour %s is used", color)
		}
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.mustEnd()
	p.stop()
	s = startOn(t, 80, 24, nil, "top", "--server", p.address)
	s.await("it is said that nobody answers", func(lines []string) bool {
		return len(lines) > 1 && strings.Contains(lines[1], "no answer from http://"+p.address)
	})
	s.press("\x03")
	s.mustEnd()
}

// TestLogOnTerminal: on a terminal a node logs text, and elsewhere JSON, as every
// other test has it.
func TestLogOnTerminal(t *testing.T) {
	s := startOn(t, 200, 50, nil, "serve", "--listen", "127.0.0.1:0", "--memory", "160MiB")
	defer func() { _ = s.cmd.Process.Kill() }()
	poll(t, "the node serves", func() bool { return strings.Contains(s.all(), "msg=serving") })
	if text := s.all(); strings.Contains(text, `"msg"`) {
		t.Errorf("there is JSON in the log: %s", text)
	}
	s.press("\x03") // ^C
	poll(t, "the node ends", func() bool {
		select {
		case <-s.ended:
			return true
		default:
			return false
		}
	})
	if code := s.cmd.ProcessState.ExitCode(); code != exitOK {
		t.Errorf("exit code %d: %s", code, s.all())
	}
}

// TestBenchOnTerminal: on a terminal a run shows how far it is, with figures, and takes that
// away at its end; with --quiet it does not.
func TestBenchOnTerminal(t *testing.T) {
	p := serve(t, nil)
	const bar, erase = "\r\x1b[Kcontrol: measure  [", "\r\x1b[K"
	figures := regexp.MustCompile(`\r\x1b\[Kcontrol: measure  \[ {30}\]   0%  [1-9]\d*  [1-9]\d* requests/s  p99 [\d.]*[1-9][\d.]* m?s`)
	end := func(s *screen, code int) {
		t.Helper()
		poll(t, "the run ends", func() bool {
			select {
			case <-s.ended:
				return true
			default:
				return false
			}
		})
		poll(t, "the result is there", func() bool { return strings.Contains(s.all(), "Generator CPU:") })
		if got := s.cmd.ProcessState.ExitCode(); got != code {
			t.Errorf("exit code %d: %s", got, s.all())
		}
	}
	s := startOn(t, 120, 40, nil, "bench", "control", "--addr", p.address, "--clients", "5", "--duration", "1h")
	poll(t, "progress is shown", func() bool { return figures.MatchString(s.all()) })
	s.press("\x03") // ^C
	end(s, exitBenchInterrupted)
	text := s.all()
	if _, last, _ := strings.Cut(text[strings.LastIndex(text, bar)+len(bar):], erase); !strings.HasPrefix(last, "Scenario:") {
		t.Errorf("the progress is not taken away: %q", text)
	}
	s = startOn(t, 120, 40, nil, "bench", "control", "--addr", p.address, "--clients", "5", "--duration", "600ms", "--quiet")
	end(s, exitOK)
	if strings.Contains(s.all(), erase) {
		t.Errorf("--quiet shows progress: %q", s.all())
	}
}
