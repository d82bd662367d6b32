//! `xtask setup` through the binary, with stand-ins for pip and curl in front of the search path: no test here needs
//! the network.
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// A workspace of nothing, and a folder of stand-ins.
struct Sandbox {
    folder: TempDir,
}

/// What a run came to.
struct Outcome {
    code: Option<i32>,
    said: String,
}

impl Sandbox {
    /// Without pip, curl and wget.
    fn new() -> Sandbox {
        let sandbox = Sandbox { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(sandbox.root().join("xtask")).unwrap();
        fs::create_dir(sandbox.path("bin")).unwrap();
        for absent in ["python3", "python", "pip3", "pip", "curl", "wget"] {
            sandbox.tool(absent, "exit 127");
        }
        sandbox
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn root(&self) -> PathBuf {
        self.path("workspace")
    }

    fn home(&self) -> PathBuf {
        self.root().join(".libtorch")
    }

    /// A shell script in place of `name`; `$log` is a file for what it was called with.
    fn tool(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        let log = self.path("log").display().to_string();
        fs::write(&path, format!("#!/bin/sh\nlog='{log}'\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A pip whose every download puts `content` into the file that is asked for as `torch`.
    fn pip(&self, download: &str) {
        let script = format!(
            "case \"$*\" in *--version*) exit 0 ;; esac\necho \"$@\" >> \"$log\"\n\
             while [ $# -gt 0 ]; do [ \"$1\" = --dest ] && dest=$2; shift; done\n{download}"
        );
        self.tool("python3", &script);
    }

    /// A curl that brings `archive`.
    fn curl(&self, archive: &Path) {
        let script = format!(
            "echo \"$@\" >> \"$log\"\nwhile [ $# -gt 0 ]; do [ \"$1\" = --output ] && out=$2; shift; done\ncp '{}' \"$out\"",
            archive.display()
        );
        self.tool("curl", &script);
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn run(&self, args: &[&str], variables: &[(&str, &Path)]) -> Outcome {
        let search = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        for name in ["LIBTORCH", "LIBTORCH_LIB", "LIBTORCH_USE_PYTORCH", "LIBTORCH_BYPASS_VERSION_CHECK"] {
            command.env_remove(name);
        }
        command.args(args).env("CARGO_MANIFEST_DIR", self.root().join("xtask")).env("PATH", search);
        let output = command.envs(variables.iter().map(|(name, value)| (name, value.as_os_str()))).output().unwrap();
        Outcome { code: output.status.code(), said: String::from_utf8(output.stderr).unwrap() }
    }

    fn setup(&self) -> Outcome {
        self.run(&["setup"], &[])
    }

    /// The official archive with the libraries and headers of every platform, each holding its own name.
    fn archive(&self, leave_out: &str) -> PathBuf {
        let path = self.path("archive.zip");
        let mut zip = ZipWriter::new(File::create(&path).unwrap());
        let libraries = ["c10", "torch", "torch_cpu", "torch_python"];
        let names = libraries.iter().flat_map(|stem| [format!("lib/lib{stem}.so"), format!("lib/lib{stem}.dylib")]);
        let others = ["build-version", "include/ATen/ATen.h", "lib/libbenchmark.a", "share/cmake/Torch.cmake"];
        for name in
            names.chain(others.map(str::to_owned)).filter(|name| leave_out.is_empty() || !name.contains(leave_out))
        {
            zip.start_file(format!("libtorch/{name}"), SimpleFileOptions::default()).unwrap();
            zip.write_all(name.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        path
    }
}

impl Outcome {
    #[track_caller]
    fn has(&self, code: i32, parts: &[&str]) -> &Outcome {
        assert_eq!(self.code, Some(code), "{}", self.said);
        for part in parts {
            assert!(self.said.contains(part), "no `{part}` in: {}", self.said);
        }
        self
    }
}

/// Whether this machine has an official archive; the tests about it say so loudly where it has none.
fn has_archive() -> bool {
    let has = matches!((std::env::consts::OS, std::env::consts::ARCH), ("linux", "x86_64") | ("macos", "aarch64"));
    if !has {
        eprintln!("skipped: there is no official libtorch archive for this machine");
    }
    has
}

#[test]
fn without_pip_the_archive_is_unpacked_once() {
    if !has_archive() {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.curl(&sandbox.archive(""));
    sandbox.setup().has(0, &["not by pip", "official archive", "checksum is not pinned", "is ready"]);
    let home = sandbox.home();
    assert_eq!(fs::read_to_string(home.join("build-version")).unwrap(), "2.11.0\n");
    assert_eq!(fs::read_to_string(home.join("include/ATen/ATen.h")).unwrap(), "include/ATen/ATen.h");
    let manifest = fs::read_to_string(home.join("manifest")).unwrap();
    assert!(manifest.contains(" unpinned\n") && manifest.contains("file lib/libtorch_cpu."), "{manifest}");
    for left_out in ["lib/libtorch_python.so", "lib/libbenchmark.a", "share"] {
        assert!(!home.join(left_out).exists(), "{left_out}");
    }
    assert!(!sandbox.root().join(".libtorch.partial").exists());
    assert_eq!(sandbox.log().lines().count(), 1, "{}", sandbox.log());

    sandbox.setup().has(0, &["is in .libtorch"]);
    assert_eq!(sandbox.log().lines().count(), 1, "fetched again: {}", sandbox.log());

    // Cargo's own configuration names the same folder.
    sandbox.run(&["setup"], &[("LIBTORCH", &home)]).has(0, &["is in .libtorch"]);

    let library = home.join("lib").join(format!("libc10{}", std::env::consts::DLL_SUFFIX));
    fs::remove_file(&library).unwrap();
    sandbox.setup().has(0, &["is gone", "is ready"]);
    assert!(library.exists());
}

#[test]
fn a_broken_archive_is_not_kept() {
    if !has_archive() {
        return;
    }
    let sandbox = Sandbox::new();
    let archive = sandbox.archive("");
    let whole = fs::read(&archive).unwrap();
    fs::write(&archive, &whole[..whole.len() / 2]).unwrap();
    sandbox.curl(&archive);
    sandbox.setup().has(1, &["cannot unpack", "cut short", "was deleted"]);
    assert!(!sandbox.home().exists());
    fs::write(&archive, &whole).unwrap();
    sandbox.setup().has(0, &["is ready"]);
}

#[test]
fn an_archive_that_lacks_a_library_is_refused() {
    if !has_archive() {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.curl(&sandbox.archive("libtorch_cpu"));
    sandbox.setup().has(1, &["libtorch_cpu.", "was in none of what was downloaded"]);
    assert!(!sandbox.home().exists());
}

#[test]
fn a_server_that_cannot_continue_is_asked_from_the_start() {
    if !has_archive() {
        return;
    }
    let sandbox = Sandbox::new();
    let archive = sandbox.archive("");
    // As curl does where a part is there and the server refuses the range.
    let script = "while [ $# -gt 0 ]; do [ \"$1\" = --output ] && out=$2; shift; done\n[ -e \"$out\" ] && exit 33";
    sandbox.tool("curl", &format!("{script}\nprintf part > \"$out\"\nexit 18"));
    sandbox.setup().has(1, &["could not download", "18"]);
    sandbox.tool("curl", &format!("{script}\ncp '{}' \"$out\"", archive.display()));
    sandbox.setup().has(0, &["beginning again", "is ready"]);
}

#[test]
fn a_wheel_that_is_not_the_pinned_one_is_refused() {
    let sandbox = Sandbox::new();
    // The name is asked for by the requirement; what is put there is `abc`.
    sandbox.pip(
        "for platform in manylinux_2_28_x86_64 manylinux_2_28_aarch64 macosx_11_0_arm64; do\n\
         printf abc > \"$dest/torch-2.11.0-cp312-cp312-$platform.whl\"\ndone",
    );
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let outcome = sandbox.setup();
    outcome.has(1, &["is not the file that was pinned", abc, "it should be "]);
    assert!(!sandbox.home().exists());
    let log = sandbox.log();
    for part in ["download --no-deps --only-binary=:all: --python-version 3.12 --implementation cp", "--platform "] {
        assert!(log.contains(part), "{log}");
    }
    // It is not kept either.
    sandbox.setup().has(1, &["is not the file that was pinned"]);
}

#[test]
fn a_pip_that_fails_is_not_replaced_by_something_else() {
    let sandbox = Sandbox::new();
    sandbox.curl(&sandbox.archive(""));
    sandbox.pip("echo 'no such host' >&2\nexit 1");
    sandbox.setup().has(1, &["no such host", "pip could not download torch-2.11.0", "--archive"]);
    assert!(!sandbox.home().exists());
    if has_archive() {
        sandbox.run(&["setup", "--archive"], &[]).has(0, &["is ready"]);
    }
}

#[test]
fn with_nothing_to_download_with_it_says_what_to_install() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.setup();
    // A stand-in that exits with 127 is there, unlike a program that is not.
    outcome.has(1, &["not by pip"]);
    assert!(!sandbox.home().exists());
    // Nothing at all on the search path.
    let empty = sandbox.path("empty");
    fs::create_dir(&empty).unwrap();
    let outcome = sandbox.run(&["setup"], &[("PATH", &empty)]);
    outcome.has(1, &["not by pip"]);
    if has_archive() {
        outcome.has(1, &["no curl and no wget", "set LIBTORCH"]);
    }
}

#[test]
fn a_folder_of_somebody_else_is_left_alone() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.home().join("lib")).unwrap();
    fs::create_dir_all(sandbox.home().join("include")).unwrap();
    fs::write(sandbox.home().join("lib/mine"), "").unwrap();
    sandbox.setup().has(0, &["did not put there", "--force"]);
    assert!(sandbox.home().join("lib/mine").exists());
    fs::remove_dir(sandbox.home().join("include")).unwrap();
    sandbox.setup().has(1, &["neither libtorch nor"]);
    assert!(sandbox.home().join("lib/mine").exists());
    if has_archive() {
        sandbox.curl(&sandbox.archive(""));
        sandbox.run(&["setup", "--force"], &[]).has(0, &["is ready"]);
        assert!(!sandbox.home().join("lib/mine").exists());
    }
}

#[test]
fn a_choice_of_the_user_is_used() {
    let sandbox = Sandbox::new();
    let own = sandbox.path("own");
    fs::create_dir_all(own.join("lib")).unwrap();
    sandbox.run(&["setup"], &[("LIBTORCH", &own)]).has(0, &["using LIBTORCH=", "of unknown version"]);
    fs::write(own.join("build-version"), "2.4.0+cpu").unwrap();
    sandbox.run(&["setup"], &[("LIBTORCH", &own)]).has(1, &["2.4.0+cpu", "2.11.0"]);

    let on = Path::new("1");
    sandbox.tool("python3", "echo 2.11.0+cu130");
    sandbox.run(&["setup"], &[("LIBTORCH_USE_PYTORCH", on)]).has(0, &["the PyTorch of `python3`", "2.11.0+cu130"]);
    sandbox.tool("python3", "exit 1");
    sandbox.run(&["setup"], &[("LIBTORCH_USE_PYTORCH", on)]).has(1, &["has no package torch"]);
    assert!(!sandbox.home().exists());
}

#[test]
fn a_bad_command_line_is_told_apart_from_a_failure() {
    let sandbox = Sandbox::new();
    sandbox.run(&["setup", "--everything"], &[]).has(2, &["no option `--everything`", "Usage"]);
    sandbox.run(&["help"], &[]).has(0, &["setup [--cuda]", "quickstart", "tidy"]);
}
