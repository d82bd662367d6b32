//! The kernels' tests on an emulated processor: the AVX-512 loops where no processor has them.
//!
//! Bochs starts a Linux kernel whose whole system is one archive: busybox and the test programs, linked statically.
//! What they print comes out of the emulated machine's serial port; the last line says that all of them passed.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::cargo;

const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Printed when every test program has succeeded.
const PASSED: &str = "every test program passed";

/// What has to be there besides Bochs and a kernel, and Debian's packages that bring it.
const FILES: [(&str, &str); 5] = [
    ("/bin/busybox", "busybox-static"),
    ("/usr/lib/ISOLINUX/isolinux.bin", "isolinux"),
    ("/usr/lib/syslinux/modules/bios/ldlinux.c32", "syslinux-common"),
    ("/usr/share/bochs/BIOS-bochs-latest", "bochsbios"),
    ("/usr/share/vgabios/vgabios.bin", "vgabios"),
];

/// The emulated system's first program; drawn cases need its /dev. The routes that the machine itself runs are left
/// out. What is still on its way to the serial port when the power goes is lost, hence the sleep.
const INIT: &str = "#!/bin/busybox sh
export HARNESS_EXPECT_ROUTES=popcount-avx512,table-avx512,int8-avx512
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox grep -m 1 'model name' /proc/cpuinfo
passed=yes
for program in /tests/*; do
    /bin/busybox time $program --test-threads 1 --skip _portable --skip _avx2 || passed=no
done
[ $passed = yes ] && echo 'PASSED'
/bin/busybox sleep 2
/bin/busybox poweroff -f
";

/// Patches of the kernel against faults of real processors only cost time here.
const BOOT: &str = "DEFAULT linux
LABEL linux
KERNEL kernel
INITRD system
APPEND console=ttyS0 loglevel=4 nokaslr mitigations=off tsc=reliable
";

/// `ips` is how fast the emulated clock goes; a kernel that waits for a time should not wait for long.
const MACHINE: &str = "cpu: model=tigerlake, count=1, ips=50000000
memory: guest=512, host=512
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
ata0-master: type=cdrom, path=disk.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=/dev/stdout
display_library: nogui
log: bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore
";

/// Builds the tests and runs them in Bochs.
///
/// # Errors
/// When something that this needs is missing, or the emulated machine does not start.
pub(crate) fn run(root: &Path, kernel: &Path, bochs: &Path) -> Result<ExitCode> {
    let missing: Vec<&str> = FILES.iter().filter(|(file, _)| !Path::new(file).exists()).map(|file| file.1).collect();
    ensure!(missing.is_empty(), "NOTHING WAS TESTED: install {}", missing.join(", "));
    for (program, option) in [(Path::new("cpio"), "--version"), (Path::new("xorriso"), "-version"), (bochs, "--help")] {
        let found = Command::new(program).arg(option).stdin(Stdio::null()).output();
        ensure!(found.is_ok(), "NOTHING WAS TESTED: there is no {}", program.display());
    }
    let folder = root.join("target/emulate");
    let (system, disk) = (folder.join("system"), folder.join("disk"));
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    for path in ["bin", "dev", "proc", "tests"] {
        fs::create_dir_all(system.join(path)).context("cannot make the emulated system's folders")?;
    }
    for program in programs(root)? {
        let name = program.file_name().context("cargo names a program without a name")?;
        copy(&program, &system.join("tests").join(name))?;
    }
    copy(Path::new(FILES[0].0), &system.join("bin/busybox"))?;
    fs::write(system.join("init"), INIT.replace("PASSED", PASSED))?;
    fs::create_dir(&disk)?;
    fs::write(disk.join("isolinux.cfg"), BOOT)?;
    copy(kernel, &disk.join("kernel"))?;
    copy(Path::new(FILES[1].0), &disk.join("isolinux.bin"))?;
    copy(Path::new(FILES[2].0), &disk.join("ldlinux.c32"))?;
    fs::write(folder.join("machine"), MACHINE)?;
    shell(&system, "chmod +x init && find . | cpio --quiet -o -H newc | gzip -1 > ../disk/system")?;
    shell(
        &folder,
        "xorriso -report_about FAILURE -as mkisofs -o disk.iso -b isolinux.bin -c boot.cat -no-emul-boot \
         -boot-load-size 4 -boot-info-table disk",
    )?;
    // A path is meant from here, and the emulator starts in that folder.
    emulate(&folder, &bochs.canonicalize().unwrap_or_else(|_| bochs.to_path_buf()))
}

/// Starts the machine and shows what it prints.
fn emulate(folder: &Path, bochs: &Path) -> Result<ExitCode> {
    let mut machine = Command::new(bochs);
    machine.args(["-q", "-f", "machine"]).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut machine = machine.stderr(Stdio::null()).spawn().context("cannot start Bochs")?;
    let mut passed = false;
    let output = machine.stdout.take().context("Bochs has no output")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("cannot read what the emulated machine prints")?;
        let line = String::from_utf8_lossy(&line);
        passed |= line.trim_end() == PASSED;
        eprintln!("{}", line.trim_end());
    }
    machine.wait().context("cannot wait for Bochs")?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds the test programs without anything that they would have to load, and returns their paths.
fn programs(root: &Path) -> Result<Vec<PathBuf>> {
    let mut build = cargo::command(root);
    build.args(["test", "--package", "harness-kernels", "--lib", "--test", "*", "--no-run", "--target", TARGET]);
    build.args(["--message-format", "json"]).env("RUSTFLAGS", "-Ctarget-feature=+crt-static -Cstrip=symbols");
    let output = build.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    ensure!(output.status.success(), "the tests do not build");
    Ok(cargo::executables(&output.stdout))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

fn shell(folder: &Path, command: &str) -> Result<()> {
    let status = Command::new("sh").args(["-ec", command]).current_dir(folder).status().context("cannot start sh")?;
    if !status.success() {
        bail!("`{command}` fails");
    }
    Ok(())
}
