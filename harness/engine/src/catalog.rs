//! What a sweep file can name.

use harness_datasets::DATASETS;
use harness_methods::core::Role;
use harness_methods::{BATCH_NORM_FOLDERS, METHODS};
use harness_models::MODELS;
use harness_records::catalog::{Catalog, Entry, Roles};

/// Every method, model and data set. Tables and figures are known to others, who add them.
#[must_use]
pub fn catalog() -> Catalog {
    let methods = METHODS.iter().map(|method| {
        let about = method.about();
        let has = |role| about.support(role).is_yes();
        let roles =
            Roles { weights: has(Role::Weight), activations: has(Role::Activation), gradients: has(Role::Gradient) };
        Entry::method(&about.about, about.bits, roles)
    });
    // Known by name, so that a sweep that asks one to quantize hears what it cannot do and who can.
    let folders = BATCH_NORM_FOLDERS.iter().map(|folder| {
        let about = folder.about();
        Entry::method(&about.about, Some(about.bits), Roles::default())
    });
    Catalog {
        methods: methods.chain(folders).collect(),
        models: MODELS.iter().map(|model| Entry::new(model.about())).collect(),
        datasets: DATASETS.iter().map(|dataset| Entry::new(dataset.about())).collect(),
        ..Catalog::default()
    }
}
