//! Fetching from a server that misbehaves in every way servers do.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use harness_datasets::fetch::{
    Checksum, FetchError, FileState, Origin, Progress, RemoteFile, Source, compare, fetch, origin,
};
use harness_datasets::{DATASETS, find};
use sha2::{Digest, Sha256};

use crate::writer::gzip;

/// How the server answers one request.
#[derive(Debug, Clone, Copy)]
enum Answer {
    /// As it should: the part that was asked for.
    Good,
    /// Everything from the start, whatever was asked for.
    Whole,
    /// Promises what is asked for, and closes after so many bytes of it.
    Cut(usize),
    /// Closes without a word.
    Nothing,
    /// A status and no file.
    Status(u16),
    /// The right length, a wrong byte.
    Changed,
    /// A part that begins elsewhere.
    WrongPart,
}

struct Server {
    address: String,
    /// The `Range` of each request so far.
    ranges: Arc<Mutex<Vec<Option<u64>>>>,
}

impl Server {
    /// Serves `content` under every name; answers in this order, then as it should.
    fn new(content: Vec<u8>, answers: &[Answer]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let ranges = Arc::new(Mutex::new(Vec::new()));
        let mut answers: VecDeque<Answer> = answers.iter().copied().collect();
        let seen = Arc::clone(&ranges);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let answer = answers.pop_front().unwrap_or(Answer::Good);
                serve(stream.unwrap(), &content, answer, &seen);
            }
        });
        Server { address, ranges }
    }

    fn ranges(&self) -> Vec<Option<u64>> {
        self.ranges.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, content: &[u8], answer: Answer, seen: &Mutex<Vec<Option<u64>>>) {
    let mut range = None;
    for line in BufReader::new(stream.try_clone().unwrap()).lines() {
        let line = line.unwrap().to_lowercase();
        if let Some(from) = line.strip_prefix("range: bytes=") {
            range = Some(from.trim_end_matches('-').parse::<usize>().unwrap());
        }
        if line.is_empty() {
            break;
        }
    }
    seen.lock().unwrap().push(range.map(|from| from as u64));
    let all = content.len();
    let from = if matches!(answer, Answer::Whole) { 0 } else { range.unwrap_or(0) };
    let head = match answer {
        Answer::Nothing => return,
        Answer::Status(status) => format!("{status} No\r\nContent-Length: 0"),
        _ if from >= all => format!("416 No\r\nContent-Range: bytes */{all}\r\nContent-Length: 0"),
        _ if from == 0 => format!("200 OK\r\nContent-Length: {all}"),
        Answer::WrongPart => {
            format!("206 Part\r\nContent-Range: bytes 1-{all}/{all}\r\nContent-Length: {}", all - from)
        }
        _ => format!("206 Part\r\nContent-Range: bytes {from}-{}/{all}\r\nContent-Length: {}", all - 1, all - from),
    };
    let mut body = content.get(from..).unwrap_or_default().to_vec();
    match answer {
        Answer::Cut(count) => body.truncate(count),
        Answer::Changed => *body.last_mut().unwrap() ^= 1,
        Answer::Status(_) => body.clear(),
        _ => {}
    }
    // The other side may have heard enough.
    let _ = stream.write_all(format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n").as_bytes());
    let _ = stream.write_all(&body);
}

fn sha256(bytes: &[u8]) -> &'static str {
    let digits: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    digits.leak()
}

/// One file with this content.
fn source(name: &'static str, content: &[u8], folder: Option<&'static str>) -> Source {
    let file = RemoteFile { name, checksum: Checksum::Sha256(sha256(content)), folder };
    Source { base: "http://192.0.2.1/", files: Box::leak(Box::new([file])), terms: "" }
}

fn content() -> Vec<u8> {
    (0..300_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect()
}

/// Fetches [`content`] with these answers; what happened, the events, and the ranges asked for.
fn fetched(root: &Path, answers: &[Answer]) -> (Result<(), FetchError>, Vec<String>, Vec<Option<u64>>) {
    let server = Server::new(content(), answers);
    let mut events = Vec::new();
    let mut see = |progress: Progress<'_>| match progress {
        Progress::Bytes { .. } => {}
        other => events.push(format!("{other:?}").split(' ').next().unwrap().to_owned()),
    };
    let result = fetch(&source("file.bin", &content(), None), root, Some(&server.address), &mut see);
    (result, events, server.ranges())
}

fn names(root: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_arrives_whole_whatever_breaks() {
    type Row = (&'static str, &'static [Answer], &'static [Option<u64>]);
    let rows: [Row; 6] = [
        ("at once", &[], &[None]),
        ("after a cut", &[Answer::Cut(100_000)], &[None, Some(100_000)]),
        ("after many cuts", &[Answer::Cut(10); 6], &[None, Some(10), Some(20), Some(30), Some(40), Some(50), Some(60)]),
        ("from the start again", &[Answer::Cut(1000), Answer::Whole], &[None, Some(1000)]),
        ("after a silent server", &[Answer::Cut(1000), Answer::Nothing], &[None, Some(1000), Some(1000)]),
        ("after a wrong part", &[Answer::Cut(1000), Answer::WrongPart], &[None, Some(1000), None]),
    ];
    for (what, answers, ranges) in rows {
        let root = tempfile::tempdir().unwrap();
        let (result, events, asked) = fetched(root.path(), answers);
        result.unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(fs::read(root.path().join("file.bin")).unwrap(), content(), "{what}");
        assert_eq!(names(root.path()), ["file.bin"], "{what}");
        assert_eq!(asked, ranges, "{what}");
        assert_eq!(events.last().unwrap(), "Verified", "{what}");
        // The second time there is nothing to do.
        let (result, events, asked) = fetched(root.path(), &[]);
        assert!(result.is_ok() && asked.is_empty() && events == ["Present"], "{what}: {events:?}");
    }
}

#[test]
fn what_is_here_is_kept_for_the_next_time() {
    let root = tempfile::tempdir().unwrap();
    let mut answers = vec![Answer::Cut(200_000)];
    answers.extend([Answer::Nothing; 3]);
    let (result, ..) = fetched(root.path(), &answers);
    let error = result.unwrap_err();
    assert!(matches!(error, FetchError::BrokeOff { done: 200_000, .. }), "{error}");
    assert!(error.to_string().contains("/file.bin broke off after 200000 bytes"), "{error}");
    assert_eq!(names(root.path()), ["file.bin.part"]);
    let (result, _, asked) = fetched(root.path(), &[]);
    result.unwrap();
    assert_eq!(asked, [Some(200_000)]);
    assert_eq!(fs::read(root.path().join("file.bin")).unwrap(), content());
    // A part that was whole, but never renamed.
    fs::rename(root.path().join("file.bin"), root.path().join("file.bin.part")).unwrap();
    let (result, _, asked) = fetched(root.path(), &[]);
    result.unwrap();
    assert_eq!((asked, names(root.path())), (vec![Some(300_000)], vec!["file.bin".to_owned()]));
}

#[test]
fn wrong_bytes_are_not_kept() {
    let root = tempfile::tempdir().unwrap();
    let (result, ..) = fetched(root.path(), &[Answer::Changed]);
    let message = result.unwrap_err().to_string();
    assert!(
        message.contains("is damaged or was changed: its SHA-256 is") && message.contains("it was not kept"),
        "{message}"
    );
    assert!(names(root.path()).is_empty());
    // Neither is a part of something else.
    fs::write(root.path().join("file.bin.part"), vec![7; 1000]).unwrap();
    assert!(matches!(fetched(root.path(), &[]).0, Err(FetchError::Corrupted { .. })));
    fetched(root.path(), &[]).0.unwrap();
    // A wrong file is fetched again; a longer part is not gone on with.
    fs::write(root.path().join("file.bin"), b"wrong").unwrap();
    fs::write(root.path().join("file.bin.part"), vec![7; 400_000]).unwrap();
    fetched(root.path(), &[]).0.unwrap();
    assert_eq!(fs::read(root.path().join("file.bin")).unwrap(), content());
}

#[test]
fn what_cannot_be_had_is_said_clearly() {
    let root = tempfile::tempdir().unwrap();
    let (result, ..) = fetched(root.path(), &[Answer::Status(404)]);
    let message = result.unwrap_err().to_string();
    assert!(message.ends_with("/file.bin answers with status 404, expected the file"), "{message}");
    // A port that nobody listens on.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let source = source("file.bin", b"", None);
    let message = fetch(&source, root.path(), Some(&format!("http://{port}/")), &mut |_| {}).unwrap_err().to_string();
    assert!(message.starts_with(&format!("cannot reach http://{port}/file.bin (")), "{message}");
    assert!(message.contains("without a network, put `file.bin` into"), "{message}");
    // Somebody else is at it.
    let part = fs::File::create(root.path().join("file.bin.part")).unwrap();
    part.lock().unwrap();
    assert!(matches!(fetched(root.path(), &[]).0, Err(FetchError::Busy(_))));
}

/// A `.tar.gz` of entries: name, kind, content (or the target of a link).
fn archive(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = tar::Header::new_gnu();
        // Written past the checks of the library, which refuses such names.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        let is_link = kind.is_symlink() || kind.is_hard_link();
        if is_link {
            header.as_old_mut().linkname[..content.len()].copy_from_slice(content);
        }
        header.set_size(if is_link { 0 } else { content.len() as u64 });
        header.set_cksum();
        builder.append(&header, if is_link { &[][..] } else { content }).unwrap();
    }
    gzip(&builder.into_inner().unwrap())
}

fn unpacked(root: &Path, packed: &[u8]) -> Result<(), FetchError> {
    let server = Server::new(packed.to_vec(), &[]);
    fetch(&source("set.tar.gz", packed, Some("set")), root, Some(&server.address), &mut |_| {})
}

#[test]
fn an_archive_is_unpacked_beside_itself() {
    use tar::EntryType::{Directory, Regular};
    let root = tempfile::tempdir().unwrap();
    let good = archive(&[
        ("set/", Directory, b""),
        ("./set/a.bin", Regular, b"first"),
        ("set/inner/b.bin", Regular, b"second"),
    ]);
    unpacked(root.path(), &good).unwrap();
    assert_eq!(names(root.path()), ["set", "set.tar.gz"]);
    assert_eq!(fs::read(root.path().join("set/a.bin")).unwrap(), b"first");
    assert_eq!(fs::read(root.path().join("set/inner/b.bin")).unwrap(), b"second");
    // What is there stays as it is.
    fs::write(root.path().join("set/a.bin"), b"mine").unwrap();
    unpacked(root.path(), &good).unwrap();
    assert_eq!(fs::read(root.path().join("set/a.bin")).unwrap(), b"mine");
}

#[test]
fn nothing_leaves_the_folder() {
    use tar::EntryType::{Block, Link, Regular, Symlink};
    let rows: [(&str, tar::EntryType, &[u8], &str); 8] = [
        ("../escaped", Regular, b"x", "leads out of its folder"),
        ("set/../../escaped", Regular, b"x", "leads out of its folder"),
        ("/tmp/harness-escaped", Regular, b"x", "leads out of its folder"),
        ("escaped", Regular, b"x", "lies outside the folder of the archive"),
        ("settle/escaped", Regular, b"x", "lies outside the folder of the archive"),
        ("set/link", Symlink, b"/etc", "is neither a file nor a folder"),
        ("set/link", Link, b"../../escaped", "is neither a file nor a folder"),
        ("set/device", Block, b"", "is neither a file nor a folder"),
    ];
    for (name, kind, content, problem) in rows {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("data");
        let error = unpacked(&root, &archive(&[("set/good", Regular, b"good"), (name, kind, content)])).unwrap_err();
        let message = error.to_string();
        assert!(message.contains(&format!("entry `{name}` {problem}")), "{message}");
        assert_eq!(
            (names(outer.path()), names(&root)),
            (vec!["data".to_owned()], vec!["set.tar.gz".to_owned()]),
            "{name}"
        );
    }
    // Cut short, with a checksum that says so is right.
    let whole = archive(&[("set/good", Regular, &[7; 5000])]);
    let root = tempfile::tempdir().unwrap();
    assert!(matches!(unpacked(root.path(), &whole[..whole.len() - 9]), Err(FetchError::File { .. })));
    assert_eq!(names(root.path()), ["set.tar.gz"]);
}

#[test]
fn files_are_compared_with_the_official_ones() {
    let root = tempfile::tempdir().unwrap();
    let source = source("file.bin", b"official", None);
    let state = || compare(&source, root.path()).unwrap().remove(0).1;
    assert_eq!(state(), FileState::Absent);
    fs::write(root.path().join("file.bin"), b"official").unwrap();
    assert_eq!(state(), FileState::Right);
    fs::write(root.path().join("file.bin"), b"officious").unwrap();
    let expected = sha256(b"official").to_owned();
    assert_eq!(state(), FileState::Wrong { found: sha256(b"officious").to_owned(), expected });
    // The words of the standard's own test vectors, RFC 1321.
    let file = root.path().join("abc");
    fs::write(&file, b"abc").unwrap();
    assert_eq!(Checksum::Md5("900150983cd24fb0d6963f7d28e17f72").matches(&file).unwrap(), Ok(()));
}

#[test]
fn every_data_set_says_where_it_comes_from() {
    for dataset in DATASETS {
        let about = dataset.about();
        match origin(about.name).unwrap() {
            Origin::BuiltIn => assert!(dataset.probe(None, &Default::default()).is_ok(), "{}", about.name),
            Origin::ByHand(how) => assert!(!how.is_empty()),
            Origin::Files(source) => {
                assert!(source.base.starts_with("http") && source.base.ends_with('/') && !source.terms.is_empty());
                for file in source.files {
                    let digits = match file.checksum {
                        Checksum::Md5(_) => 32,
                        Checksum::Sha256(_) => 64,
                    };
                    let text = file.checksum.text();
                    assert!(
                        text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
                    );
                    assert_eq!(file.folder.is_some(), file.name.ends_with(".tar.gz"), "{}", file.name);
                }
            }
        }
    }
    assert!(origin("no-such-data-set").is_none() && find("no-such-data-set").is_none());
}
