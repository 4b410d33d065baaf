package bootman

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// lines of real logs, by the step they tell of. Each stands for its pattern as the BootManager, the kernel or a tool writes it.
var lines = map[string]string{
	"bminit":              "Step: Initializing the BootManager.",
	"cfg":                 "Step: Reading node configuration file.",
	"auth":                "Step: Authenticating node with PLC.",
	"getplc":              "Step: Retrieving details of node from PLC.",
	"update":              "Step: Updating node boot state at PLC.",
	"hardware":            "Step: Checking if hardware requirements met.",
	"installinit":         "Step: Install: Initializing.",
	"installdisk":         "Step: Install: partitioning disks.",
	"installbootfs":       "Step: Install: bootstrapfs tarball.",
	"installcfg":          "Step: Install: Writing configuration files.",
	"installstop":         "Step: Install: Shutting down installer.",
	"validate":            "Step: Validating node installation.",
	"rebuildinitrd":       "Rebuilding initrd",
	"netcfg":              "Step: Install: Writing Network Configuration files.",
	"update3":             "Step: Updating node configuration.",
	"disk":                "Step: Checking for unused disks to add to LVM.",
	"update4":             "Step: Sending hardware configuration to PLC.",
	"debug":               "Step: Starting debug mode.",
	"bmexceptmount":       "BootManagerException during mount of /dev/planetlab/root: exit status 32",
	"bmexceptvgscan":      "BootManagerException during vgscan/vgchange: exit status 5",
	"bmexceptrmfail":      "Unable to remove directory tree: /tmp/mnt",
	"exception":           "Exception while running: something",
	"nocfg":               "Found configuration file planet.cnf on floppy, but was unable to parse it.",
	"protoerror2":         "500 Internal Server Error",
	"protoerror":          "XML RPC protocol error",
	"nodehostname":        "Configured node hostname does not resolve",
	"implementerror":      "Implementation Error",
	"fsckabort":           "/dev/mapper/planetlab-root is mounted.  e2fsck: Cannot continue, aborting.",
	"fsckfail":            "Running e2fsck -v -p /dev/planetlab/root failed with exit status 4",
	"fsckfail2":           "Running e2fsck -v -p /dev/planetlab/vservers failed with exit status 4",
	"readonlyfs":          "OSError: [Errno 30] Read-only file system: '/tmp/mnt/sysimg/etc/hosts'",
	"baddisk":             "IOError: [Errno 13] Permission denied: '/tmp/mnt/sysimg//vservers/princeton_coral/etc/hosts'",
	"noinstall":           "notinstalled",
	"bziperror":           "bzip2: Data integrity error when decompressing.",
	"noblockdev":          "No block devices detected.",
	"missingkernel":       "missingkernel",
	"dnserror":            "<urlopen error (-2, 'Name or service not known')>",
	"noparseconfig":       "Found configuration file plnode.txt on floppy, but was unable to parse it.",
	"noconfig":            "Unable to find and read a node configuration file.",
	"downloadfail":        "Unable to download main tarball /boot/bootstrapfs-planetlab-i386.tar.bz2 from server.",
	"disktoosmall":        "The total usable disk size of all disks is insufficient to be usable as a PlanetLab node.",
	"hardwarerequirefail": "Hardware requirements not met.",
	"mkfsfail":            "while running: Running mkfs.ext2 -q  -m 0 -j /dev/planetlab/vservers failed",
	"nofilereference":     "IOError: [Errno 2] No such file or directory: '/tmp/mnt/sysimg//vservers/.vref/planetlab-f8-i386/etc/hosts'",
	"kernelcopyfail":      "cp: cannot stat `/tmp/mnt/sysimg/boot/kernel-boot': No such file or directory",
	"chrootfail":          "Running chroot /tmp/mnt/sysimg mkinitrd failed",
	"modulefail":          "Unable to get list of system modules",
	"writeerror":          "gzip: stdout: write error: No space left on device",
	"nospace":             "OSError: [Errno 28] No space left on device",
	"nonode":              "Failed to authenticate call: No such node",
	"authfail":            "Failed to authenticate call: Call could not be authenticated",
	"authfail2":           "Authentication Failed",
	"bootcheckfail":       "BootCheckAuthentication",
	"bootupdatefail":      "BootUpdateNode",
}

// shadowed are steps that no log can show: an earlier row has the same pattern.
var shadowed = []string{"update2", "installinit2"}

func namer(t testing.TB) *Namer {
	t.Helper()
	n, err := NewNamer()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestEveryPatternFindsItsLine(t *testing.T) {
	n := namer(t)
	for _, p := range n.patterns {
		if slices.Contains(shadowed, p.step) {
			continue
		}
		line, ok := lines[p.step]
		if !ok {
			t.Errorf("no line shows the step %s", p.step)
			continue
		}
		if got := n.Sequence([]byte("10:01:02(UTC) " + line + "\n")); got != p.step+"-done" {
			t.Errorf("%q is named %s, want %s-done", line, got, p.step)
		}
	}
}

func TestEverySequenceOfTheTableCanBeRead(t *testing.T) {
	n := namer(t)
	seed, err := Seed()
	if err != nil {
		t.Fatal(err)
	}
	if len(seed) != 118 {
		t.Errorf("the table has %d rows", len(seed))
	}
	for _, k := range seed {
		var log []string
		for _, step := range stepsOf(k.Sequence) {
			log = append(log, lines[step])
		}
		if got := n.Sequence([]byte(strings.Join(log, "\n"))); got != k.Sequence {
			t.Errorf("a log of the steps of\n  %s is named\n  %s", k.Sequence, got)
		}
	}
}

func TestSequence(t *testing.T) {
	n := namer(t)
	for _, c := range []struct{ name, log, want string }{
		{"an empty log", "", "done"},
		{"steps come in the order of the log, not of the table", "debug mode\nStarting debug mode\nInitializing the BootManager.\n", "debug-bminit-done"},
		{"the earliest match wins though it is listed later", "BootManagerException during vgscan/vgchange", "bmexceptvgscan-done"},
		{"what a step has matched is not read again", "Found configuration file planet.cnf on floppy, but was unable to parse it.", "nocfg-done"},
		{"of two that begin together the one listed first wins", "Running e2fsck -v -p /dev/planetlab/root failed", "fsckfail-done"},
		{"a write error is not also a full disk", "write error: No space left on device", "writeerror-done"},
		{"every full disk counts", strings.Repeat("No space left on device\n", 8), strings.Repeat("nospace-", 8) + "done"},
		{"a pattern does not reach over lines", "Install: partitioning\ndisks.", "done"},
		{"a dot is any character, as it was in the original", "Initializing the BootManager!", "bminit-done"},
		{"letters count as they are", "implementation error", "done"},
		{"bytes that are no text do no harm", "\xff\x00Initializing the BootManager.\x00\xfe", "bminit-done"},
		{"a log without end has a name with one", strings.Repeat("Exception\n", 100_000), strings.Repeat("exception-", maxSteps) + "more-done"},
		{"a node whose key PLC does not know", "Step: Initializing the BootManager.\n\n\nStep: Reading node configuration file.\nChecking / (ramdisk) for plnode.txt file.\n\n\nStep: Authenticating node with PLC.\n" +
			"Authentication Failed. Retrying...\nXML RPC Fault: Failed to authenticate call: Call could not be authenticated\n\n\nStep: Starting debug mode.\n", "bminit-cfg-auth-authfail2-authfail-debug-done"},
		{"a node whose root needs a hand", "Step: Initializing the BootManager.\nStep: Reading node configuration file.\nStep: Authenticating node with PLC.\nAuthentication successful.\n" +
			"Step: Retrieving details of node from PLC.\nSuccessfully retrieved node record.\nStep: Install: Initializing.\nBringing system LVM up\nStep: Validating node installation.\n" +
			"BootManagerException\nRunning e2fsck -v -p /dev/planetlab/root failed (rc=4)\n\nException while running: notOK\nStep: Starting debug mode.\nStep: Validating node installation.\n",
			"bminit-cfg-auth-getplc-installinit-validate-exception-fsckfail-exception-debug-validate-done"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := n.Sequence([]byte(c.log)); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestKnownRowsAreChecked(t *testing.T) {
	for _, c := range []struct {
		k    Known
		want string
	}{
		{Known{"bminit-done", FsckRepair}, ""},
		{Known{"bminit-", FsckRepair}, "is no sequence"},
		{Known{"bminit done", FsckRepair}, "is no sequence"},
		{Known{"", FsckRepair}, "is no sequence"},
		{Known{"bminit-done", "rm -rf"}, "no action is called"},
	} {
		err := c.k.Check()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v gives %v", c.k, err)
		}
	}
}

func TestFailingDisks(t *testing.T) {
	d, err := NewDisks()
	if err != nil {
		t.Fatal(err)
	}
	floppy := "end_request: I/O error, dev fd0, sector 0"
	for _, c := range []struct {
		name, dmesg string
		want        []string
	}{
		{"scsi", "SCSI error : <0 0 0 0> return code = 0x8000002", []string{"SCSI error : <0 0 0 0> return code = 0x8000002"}},
		{"scsi of later kernels", "sd 0:0:0:0: ioctl_internal_command return code = 8000002", []string{"sd 0:0:0:0: ioctl_internal_command return code = 8000002"}},
		{"a sector", "end_request: I/O error, dev sda, sector 12345", []string{"end_request: I/O error, dev sda, sector 12345"}},
		{"a smart array", "cciss: cmd f7b80000 has CHECK CONDITION byte 2 = 0x3", []string{"cciss: cmd f7b80000 has CHECK CONDITION byte 2 = 0x3"}},
		{"an old disk", "hda: dma_intr: status=0x51 { DriveReady SeekComplete Error }", []string{"hda: dma_intr: status=0x51 { DriveReady SeekComplete Error }"}},
		{"an old disk's sector", "hda: dma_intr: error=0x40 { UncorrectableError }, LBAsect=1, sector=2", []string{"hda: dma_intr: error=0x40 { UncorrectableError }, LBAsect=1, sector=2"}},
		{"ata", "ata1: status=0x51 { DriveReady SeekComplete Error }", []string{"ata1: status=0x51 { DriveReady SeekComplete Error }"}},
		{"ata's sector", "ata1: error=0x40 { UncorrectableError }", []string{"ata1: error=0x40 { UncorrectableError }"}},
		{"a medium", "sda: Current: sense key: Medium Error", []string{"sda: Current: sense key: Medium Error"}},
		{"a directory", "EXT3-fs error (device dm-0): ext3_find_entry: reading directory #2 offset 0", []string{"EXT3-fs error (device dm-0): ext3_find_entry: reading directory #2 offset 0"}},
		{"a block, said twice", "Buffer I/O error on device dm-0, logical block 7\nBuffer I/O error on device dm-0, logical block 7\n", []string{"Buffer I/O error on device dm-0, logical block 7"}},
		{"a healthy boot", "EXT3-fs: mounted filesystem with ordered data mode.\nata1: SATA link up 3.0 Gbps", nil},
		{"a lone floppy", floppy + "\nfloppy0: floppy timeout called\n" + floppy, nil},
		{"a floppy beside a disk", floppy + "\nBuffer I/O error on device dm-0, logical block 7", []string{floppy, "Buffer I/O error on device dm-0, logical block 7"}},
		{"no control characters reach people", "\x1b[31mata1: error=0x40 { UncorrectableError }\x00", []string{"[31mata1: error=0x40 { UncorrectableError }"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := d.Failing([]byte(c.dmesg)); !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	var many strings.Builder
	for i := range 300 {
		many.WriteString("floppy0: floppy timeout called " + strings.Repeat("x", i) + "\n")
	}
	many.WriteString("ata1: error=0x40 { UncorrectableError }")
	if got := d.Failing([]byte(many.String())); len(got) != maxEvidence+1 || !strings.HasPrefix(got[maxEvidence], "ata1") {
		t.Errorf("a disk's error behind 300 of a floppy is shown as %d lines", len(got))
	}
}

func FuzzSequence(f *testing.F) {
	for _, line := range lines {
		f.Add([]byte(line))
	}
	f.Add([]byte("Exception\nException\xff\x00"))
	n := namer(f)
	f.Fuzz(func(t *testing.T, log []byte) {
		got := n.Sequence(log)
		if err := (Known{got, FsckRepair}).Check(); err != nil {
			t.Errorf("%q is named %q: %v", log, got, err)
		}
		if again := n.Sequence(bytes.Clone(log)); again != got {
			t.Errorf("%q is named %q, then %q", log, got, again)
		}
		if more := n.Sequence(append(bytes.Clone(log), '\n')); more != got { // no pattern ends with a line's end
			t.Errorf("%q is named %q, and %q with a line's end", log, got, more)
		}
	})
}

func FuzzFailing(f *testing.F) {
	f.Add([]byte("ata1: error=0x40 { UncorrectableError }\nfloppy0: floppy timeout called"))
	d, err := NewDisks()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, dmesg []byte) {
		for _, line := range d.Failing(dmesg) {
			if len(line) > maxLine+3 || strings.ContainsAny(line, "\x00\n\x1b") {
				t.Errorf("people would be shown %q", line)
			}
		}
	})
}
