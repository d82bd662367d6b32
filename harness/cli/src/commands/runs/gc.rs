//! `harness runs gc`.

use clap::Args;
use serde_json::{Value, json};

use super::{Chosen, size};
use crate::exit::{Outcome, Stop};
use crate::output::{print, print_json, talk};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  harness runs gc --dry-run
  harness runs gc quickstart")]
pub(super) struct RunsGcArguments {
    #[command(flatten)]
    chosen: Chosen,
    /// Say what would go, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &RunsGcArguments) -> Outcome {
    let store = arguments.chosen.store()?;
    let (mut files, mut bytes, mut kept) = (Vec::new(), 0, 0);
    for (_, dir) in store.trials(arguments.chosen.sweep.as_deref())? {
        let found = if arguments.dry_run { dir.garbage() } else { dir.clear_garbage() };
        match found {
            Ok(litter) => {
                bytes += litter.iter().map(|litter| litter.bytes).sum::<u64>();
                files.extend(litter);
            }
            Err(error) => {
                kept += 1;
                talk(format_args!("left alone: {error}"));
            }
        }
    }
    if arguments.json {
        let files: Vec<Value> = files.iter().map(|f| json!({"path": f.path, "bytes": f.bytes})).collect();
        print_json(&json!({"removed": !arguments.dry_run, "files": files, "bytes": bytes}))?;
    } else {
        for file in &files {
            print(format_args!("{} {}", size(file.bytes), file.path.display()))?;
        }
        let how = if arguments.dry_run { "would be removed" } else { "removed" };
        talk(format_args!("{} files, {} {how}", files.len(), size(bytes)));
    }
    if kept > 0 { Err(Stop::Failed) } else { Ok(()) }
}
