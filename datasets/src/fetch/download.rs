//! One file over HTTP or HTTPS, from where the last try stopped.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::Agent;
use ureq::http::Response;
use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use ureq::{Body, Error};

use super::{FetchError, Progress, RemoteFile, at};

/// Tries in a row that bring nothing before it is given up.
const TRIES: u32 = 3;
/// How long a server may take to answer and to send the next bytes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is wanted, from where, and where to.
pub(super) struct Wanted<'a> {
    /// Without a slash at its end.
    pub(super) base: &'a str,
    pub(super) folder: &'a Path,
    /// All files, for messages.
    pub(super) files: String,
}

/// How a try ended.
enum Ended {
    Complete,
    /// Bytes came, and then no more.
    BrokeOff(String),
}

impl Wanted<'_> {
    /// Downloads a file, checks it, and puts it under its name.
    pub(super) fn download(&self, file: &RemoteFile, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), FetchError> {
        let address = format!("{}/{}", self.base, file.name);
        let (path, part_path) = (self.folder.join(file.name), self.folder.join(format!("{}.part", file.name)));
        let mut part = open(&part_path)?;
        let agent: Agent = Agent::config_builder()
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .http_status_as_error(false)
            .user_agent(concat!("harness/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        let mut idle = 0;
        loop {
            let before = length(&part, &part_path)?;
            match self.once(&agent, &address, file.name, &mut part, &part_path, progress)? {
                Ended::Complete => break,
                Ended::BrokeOff(reason) => {
                    let done = length(&part, &part_path)?;
                    idle = if done > before { 0 } else { idle + 1 };
                    if idle >= TRIES {
                        return Err(FetchError::BrokeOff { address, done, reason });
                    }
                    progress(Progress::Resumed { name: file.name, done });
                }
            }
        }
        part.sync_all().map_err(at(&part_path))?;
        if let Err(found) = file.checksum.matches(&part_path).map_err(at(&part_path))? {
            fs::remove_file(&part_path).map_err(at(&part_path))?;
            let (kind, expected) = (file.checksum.kind(), file.checksum.text().to_owned());
            return Err(FetchError::Corrupted { address, kind, found, expected });
        }
        fs::rename(&part_path, &path).map_err(at(&path))
    }

    /// One request, and what it brings behind what is already there.
    fn once(
        &self,
        agent: &Agent,
        address: &str,
        name: &str,
        part: &mut File,
        part_path: &Path,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Ended, FetchError> {
        let mut done = length(part, part_path)?;
        let request = agent.get(address);
        let request = if done > 0 { request.header(RANGE, format!("bytes={done}-")) } else { request };
        let response = match request.call() {
            Ok(response) => response,
            // A connection that was there before may come back; one that never was will not.
            Err(Error::Io(e)) if done > 0 => return Ok(Ended::BrokeOff(e.to_string())),
            Err(e) => return Err(self.unreachable(address, &e)),
        };
        match response.status().as_u16() {
            206 if starts_at(&response, done) => {}
            // All of it again: the server cannot go on, or the file is another one now.
            200 => {
                part.set_len(0).map_err(at(part_path))?;
                done = 0;
            }
            // The part is at least as long as the file: whole, or of another file, which the checksum tells.
            416 if total(&response) == Some(done) => return Ok(Ended::Complete),
            206 | 416 if done > 0 => {
                part.set_len(0).map_err(at(part_path))?;
                return Ok(Ended::BrokeOff("it does not fit what is here".to_owned()));
            }
            status => return Err(FetchError::Status { address: address.to_owned(), status }),
        }
        part.seek(SeekFrom::End(0)).map_err(at(part_path))?;
        let number = |text: &str| text.parse::<u64>().ok();
        let length = response.headers().get(CONTENT_LENGTH).and_then(|value| number(value.to_str().ok()?));
        let total = length.map(|length| done + length);
        let mut body = response.into_body().into_with_config().limit(u64::MAX).reader();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match body.read(&mut buffer) {
                Ok(0) if total.is_some_and(|total| done < total) => {
                    return Ok(Ended::BrokeOff("it ends early".to_owned()));
                }
                Ok(0) => return Ok(Ended::Complete),
                Ok(count) => {
                    part.write_all(&buffer[..count]).map_err(at(part_path))?;
                    done += count as u64;
                    progress(Progress::Bytes { name, done, total });
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Ok(Ended::BrokeOff(e.to_string())),
            }
        }
    }

    fn unreachable(&self, address: &str, error: &Error) -> FetchError {
        FetchError::Unreachable {
            address: address.to_owned(),
            reason: error.to_string(),
            files: self.files.clone(),
            folder: self.folder.to_owned(),
        }
    }
}

/// Opens the part for this process alone.
fn open(path: &PathBuf) -> Result<File, FetchError> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(at(path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(FetchError::Busy(path.clone())),
        // Some file systems know no locks; then it is up to the user.
        Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(error)) => Err(FetchError::File { path: path.clone(), error }),
    }
}

fn length(file: &File, path: &Path) -> Result<u64, FetchError> {
    Ok(file.metadata().map_err(at(path))?.len())
}

/// Whether a partial answer begins where it should: `bytes 100-199/200`.
fn starts_at(response: &Response<Body>, place: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {place}-")))
}

/// The length of the whole file that an answer without a part names: `bytes */200`.
fn total(response: &Response<Body>) -> Option<u64> {
    response.headers().get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes */")?.parse().ok()
}
