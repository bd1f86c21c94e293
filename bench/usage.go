package bench

import "time"

// cpuTime is CPU time of a process.
type cpuTime struct{ user, system time.Duration }

func (c cpuTime) sum() time.Duration { return c.user + c.system }

// usage is what this process and the server's have used.
type usage struct {
	own      cpuTime
	servers  time.Duration
	resident int64 // memory of the servers
}

// since is what was used after an earlier reading.
func (u usage) since(o usage) usage {
	return usage{
		own:     cpuTime{u.own.user - o.own.user, u.own.system - o.own.system},
		servers: u.servers - o.servers, resident: u.resident,
	}
}

// plus adds what was used later.
func (u usage) plus(later usage) usage {
	return usage{
		own:     cpuTime{u.own.user + later.own.user, u.own.system + later.own.system},
		servers: u.servers + later.servers, resident: later.resident,
	}
}

// readUsage reads the clocks of this process and of the server's processes. The
// error wraps ErrConfig.
func readUsage(servers []int) (usage, error) {
	u := usage{own: processCPU()}
	for _, pid := range servers {
		cpu, resident, err := otherUsage(pid)
		if err != nil {
			return u, err
		}
		u.servers += cpu
		u.resident += resident
	}
	return u, nil
}
