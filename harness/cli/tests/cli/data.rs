//! `harness data` through the binary.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

use crate::support::Workplace;
use serde_json::Value;

/// A server that gives `answer` to everything.
fn server(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            assert!(lines.map(Result::unwrap).any(|line| line.is_empty()));
            let _ = stream.write_all(answer);
        }
    });
    address
}

#[test]
fn every_data_set_is_listed() {
    let workplace = Workplace::new("");
    let ran = workplace.run(&["data", "list", "--json"]);
    let all: Vec<Value> = serde_json::from_str(&ran.stdout).unwrap();
    let of = |name: &str| all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name}")).clone();
    assert_eq!((&of("digits")["found"], &of("digits")["origin"]), (&Value::from(true), &Value::from("built in")));
    assert_eq!((&of("imagenet")["origin"], &of("cifar10")["origin"]), (&Value::from("by hand"), &Value::from("fetch")));
    let plain = workplace.run(&["data", "list"]);
    assert!(plain.code == 0 && all.iter().all(|one| plain.stdout.contains(one["name"].as_str().unwrap())));
}

#[test]
fn text_is_verified_and_the_first_damage_named() {
    let workplace = Workplace::new("");
    let root = workplace.path("words");
    fs::create_dir(&root).unwrap();
    for name in ["train.txt", "valid.txt", "test.txt"] {
        fs::write(root.join(name), "one two\n").unwrap();
    }
    let verify = || workplace.run(&["data", "verify", "text", "--root", "words"]);
    let ran = verify();
    assert_eq!((ran.code, ran.stdout.trim()), (0, "text: 3 + 3 + 3 words, 4 different ones, all of it read"));
    fs::write(root.join("valid.txt"), b"\xff").unwrap();
    let ran = verify();
    assert!(ran.code == 1 && ran.stdout.contains("valid.txt: line 1 is not UTF-8"), "{ran:?}");
    // The official files have checksums.
    for name in ["ptb.train.txt", "ptb.valid.txt", "ptb.test.txt"] {
        fs::write(root.join(name), "one two\n").unwrap();
    }
    let ran = workplace.run(&["data", "verify", "ptb", "--root", "words", "--json"]);
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (ran.code, &found["files"][0][1], found["problems"].as_array().unwrap().len()),
        (1, &Value::from("wrong"), 3)
    );
}

#[test]
fn what_a_server_sends_is_checked() {
    let workplace = Workplace::new("");
    let fetch = |from: &str| workplace.run(&["data", "fetch", "ptb", "--to", "ptb", "--from", from]);
    let ran = fetch(&server(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlies"));
    assert!(ran.code == 1 && ran.stderr.contains("ptb.train.txt is damaged or was changed: its SHA-256 is"), "{ran:?}");
    let ran = fetch(&server(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n"));
    assert!(ran.code == 1 && ran.stderr.contains("ptb.train.txt broke off after 0 bytes"), "{ran:?}");
    let ran = fetch(&server(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
    assert!(ran.code == 1 && ran.stderr.contains("answers with status 404"), "{ran:?}");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ran = fetch(&format!("http://{closed}"));
    assert!(ran.code == 2 && ran.stderr.contains("without a network, put `ptb.train.txt`, `ptb.valid.txt`"), "{ran:?}");
}

#[test]
fn what_cannot_be_done_is_refused() {
    let workplace = Workplace::new("");
    let rows: [(&[&str], &str); 5] = [
        (&["data", "fetch", "imagenet"], "register at https://image-net.org"),
        (&["data", "fetch", "digits"], "`digits` needs no files"),
        (&["data", "fetch", "cifar"], "unknown data set `cifar`, expected one of `digits`"),
        (&["data", "verify", "ptb", "--root", "nowhere"], "nowhere: there is no such folder"),
        (&["data", "path", "imagenette"], "unknown data set `imagenette`"),
    ];
    for (arguments, message) in rows {
        let ran = workplace.run(arguments);
        assert!(ran.code == 2 && ran.stderr.contains(message), "{arguments:?}: {ran:?}");
    }
    let ran = workplace.run(&["data", "path", "cifar10"]);
    assert!(ran.code == 0 && ran.stdout.trim().ends_with("cifar10"), "{ran:?}");
}
