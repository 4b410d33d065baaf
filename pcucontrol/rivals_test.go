package pcucontrol_test

import (
	"cmp"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol/models"
	"github.com/planetlab/monitor/testbed/debian"
)

// rival is another program that reads what a model's device says; its words are a command line with {host} and {port}.
type rival struct {
	pkg, words string
	also       [2]string // a program that it calls, and its package
}

// rivals are those of Debian, by the model that they drive.
func rivals() map[[2]string][]rival {
	const login = " -a {host} -u {port} -l admin -p " + password + " -o status "
	const quiet = " --ssh --ssh-options={options}"
	ipmitool := [2]string{"ipmitool", "ipmitool"}
	return map[[2]string][]rival{
		{"OpenIPMI", "udp"}: {
			{pkg: "ipmitool", words: "ipmitool -I lanplus -C 3 -H {host} -p {port} -U admin -P " + password +
				" chassis power status"},
			{pkg: "fence-agents", words: "fence_ipmilan -P -C 3" + login, also: ipmitool},
		},
		{"APCSNMP", "udp"}: {{pkg: "fence-agents", also: [2]string{"snmpget", "snmp"},
			words: "fence_apc_snmp -d 2c -a {host} -u {port} -c " + password + " -n 3 -o status"}},
		{"APCControl", "ssh"}:    {{pkg: "fence-agents", words: "fence_apc" + login + "-n 3" + quiet}},
		{"APCControl", "telnet"}: {{pkg: "fence-agents", words: "fence_apc" + login + "-n 3"}},
		{"WTIIPS4", "telnet"}:    {{pkg: "fence-agents", words: "fence_wti" + login + "-n 3"}},
		{"DRAC", "ssh"}:          {{pkg: "fence-agents", words: "fence_drac5" + login + quiet}},
		{"Redfish", "https"}:     {{pkg: "fence-agents", words: "fence_redfish --ssl-insecure" + login}},
	}
}

// cost is what a call took: of a process, its children's processors too.
type cost struct{ wall, cpu time.Duration }

func (c *cost) add(more cost) { c.wall, c.cpu = c.wall+more.wall, c.cpu+more.cpu }

// runOf is what a program costs.
func runOf(b *testing.B, program string, args ...string) cost {
	b.Helper()
	cmd := exec.CommandContext(within(b, 2*time.Minute), program, args...)
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v: %s", filepath.Base(program), err, out)
	}
	return cost{time.Since(start), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
}

// BenchmarkStatusAgainstOthers asks the same device over the same line in turns: the library within this process, as
// Monitor's worker does; the command monitor; and the programs of others. A program's time has the start of a process
// in it. The goal is at most 0.6 of ipmitool's time over a line of 50 ms, for the library and for the command.
func BenchmarkStatusAgainstOthers(b *testing.B) {
	monitor := filepath.Join(b.TempDir(), "monitor")
	if out, err := exec.CommandContext(within(b, 10*time.Minute), "go", "build", "-o", monitor, "../starter").
		CombinedOutput(); err != nil {
		b.Fatalf("go build ../starter: %v: %s", err, out)
	}
	for face, others := range rivals() {
		for _, trip := range []time.Duration{0, 50 * time.Millisecond} {
			b.Run(fmt.Sprintf("%s/%s/%dms", face[0], face[1], trip.Milliseconds()), func(b *testing.B) {
				against(b, monitor, face[0], face[1], trip, others)
			})
		}
	}
}

func against(b *testing.B, monitor, model, transport string, trip time.Duration, others []rival) {
	for _, o := range others {
		debian.Need(b, strings.Fields(o.words)[0], o.pkg)
		if o.also[0] != "" {
			debian.Need(b, o.also[0], o.also[1])
		}
	}
	d, _, target := raise(b, model, transport)
	if model == "APCSNMP" {
		target.User = "v2c"
	}
	target = (&farLine{trip: trip}).lay(b, target, d.Network())
	port := strconv.Itoa(target.Port)
	b.Setenv("MONITOR_PCU_PASSWORD", password)
	ours := []string{"pcu", "status", "--model", model, "--transport", transport, "--host", target.Host, "--port", port,
		"--user", target.User, "--outlet", "3", "--legacy"}
	var library, command cost
	theirs := make([]cost, len(others))
	for b.Loop() {
		start := time.Now()
		if _, err := models.Builtin().Status(within(b, time.Minute), target); err != nil {
			b.Fatal(err)
		}
		library.add(cost{wall: time.Since(start)})
		command.add(runOf(b, monitor, ours...))
		for i, o := range others {
			var words []string
			for _, w := range strings.Fields(o.words) {
				words = append(words, strings.NewReplacer("{host}", target.Host, "{port}", port, "{options}",
					"-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null").Replace(w))
			}
			theirs[i].add(runOf(b, words[0], words[1:]...))
		}
	}
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 / float64(b.N) }
	b.ReportMetric(each(library.wall), "library-ms/op")
	b.ReportMetric(each(command.wall), "monitor-ms/op")
	b.ReportMetric(each(command.cpu), "monitor-cpu-ms/op")
	for i, o := range others {
		name := strings.Fields(o.words)[0]
		b.ReportMetric(each(theirs[i].wall), name+"-ms/op")
		b.ReportMetric(each(theirs[i].cpu), name+"-cpu-ms/op")
		b.ReportMetric(float64(command.wall)/float64(cmp.Or(theirs[i].wall, 1)), "monitor/"+name)
		b.ReportMetric(float64(command.cpu)/float64(cmp.Or(theirs[i].cpu, 1)), "monitor-cpu/"+name)
		if name == "ipmitool" {
			withinGoal(b, trip, theirs[i].wall, map[string]time.Duration{"library": library.wall,
				"command": command.wall})
		}
	}
}

// withinGoal fails a benchmark of a long line where ours takes more than 0.6 of what ipmitool takes. On a line of no
// length, the start of processes and what else the machine does is all that there is to measure.
func withinGoal(b *testing.B, trip, theirs time.Duration, ours map[string]time.Duration) {
	b.Helper()
	const goal = 0.6
	for name, took := range ours {
		if part := float64(took) / float64(theirs); trip > 0 && part > goal {
			b.Errorf("the %s takes %.2f of ipmitool's time, more than %.1f", name, part, goal)
		}
	}
}
