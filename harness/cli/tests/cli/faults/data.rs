//! Data that goes away while a network is trained on it.

use std::fs;
use std::path::Path;

use jpeg_encoder::{ColorType, Encoder};

use super::undisturbed_in;
use crate::support::{Ran, Workplace};

/// Photographs are read from their files as the training goes.
const PHOTOS: &str = "\
name: slow
base:
  dataset: {name: imagenet, root: photos, size: 16, resize: 16}
  model: {name: lenet}
  train: {epochs: 8, batch: 8, optimizer: {name: adam, lr: 1.0e-3}, checkpoint_every: 5}
";

/// Two classes, one bright and one dark.
fn photos(folder: &Path) {
    for (part, count) in [("train", 160), ("val", 8)] {
        for (class, light) in [("dark", 40), ("bright", 200)] {
            let folder = folder.join(part).join(class);
            fs::create_dir_all(&folder).unwrap();
            for image in 0..count {
                let pixel = |at: usize| light + u8::try_from((at * 7 + image * 13) % 50).unwrap();
                let pixels: Vec<u8> = (0..24 * 24 * 3).map(pixel).collect();
                let encoder = Encoder::new_file(folder.join(format!("{image}.JPEG")), 90).unwrap();
                encoder.encode(&pixels, 24, 24, ColorType::Rgb).unwrap();
            }
        }
    }
}

fn workplace() -> Workplace {
    let workplace = Workplace::new(PHOTOS);
    photos(&workplace.path("photos"));
    workplace
}

#[test]
fn a_trial_whose_data_is_gone_for_a_while_comes_to_the_same_numbers() {
    let expected = undisturbed_in(&workplace());
    let workplace = workplace();
    let (photos, away) = (workplace.path("photos"), workplace.path("away"));
    // In the second of 8 epochs of 40 steps; the few batches that are made ahead do not reach the end.
    let sweep = workplace.start_held("held", 50, &["sweep", "sweep.yaml", "--json"]);
    fs::rename(&photos, &away).unwrap();
    fs::write(workplace.path("held"), "go on").unwrap();
    let ran = Ran::new(sweep.wait_with_output().unwrap());
    assert_eq!(ran.code, 1, "{ran:?}");
    let record = &workplace.records("slow")[0];
    assert_eq!((&record["status"], &record["error"]["class"]), (&"failed".into(), &"data".into()), "{record}");
    let message = record["error"]["message"].as_str().unwrap();
    assert!(message.contains("photos/train/") && message.contains(".JPEG"), "it names the file: {message}");
    assert!(ran.stderr.contains("see whether the files of the data set are back"), "{ran:?}");
    // Before the data is back there is nothing to begin.
    let refused = workplace.run(&["sweep", "sweep.yaml"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("sweep.yaml:3:") && refused.stderr.contains("photos"), "{refused:?}");
    assert_eq!(workplace.records("slow").len(), 1, "nothing is lost");
    // Then the next start goes on, without being told to.
    fs::rename(&away, &photos).unwrap();
    let (summary, code) = workplace.sweep(&[]);
    assert_eq!(code, 0, "{summary}");
    let records = workplace.records("slow");
    assert!(records[0]["time"]["resumed"].as_u64().unwrap() >= 1, "{}", records[0]["time"]);
    assert_eq!(records.iter().map(crate::support::numbers).collect::<Vec<_>>(), expected);
}
