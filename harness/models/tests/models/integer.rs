//! Integer batch normalization where the data part and join.

use harness_models::Plan;
use harness_records::config::MethodChoice;
use harness_records::options::{OptionValue, Options};

use crate::support::{EVALUATION, TRAINING, method, model, network, noise, quant};

#[test]
fn inside_blocks_normalization_is_folded_and_before_sums_it_says_why_not() {
    let width = |n| [("width", OptionValue::Int(n))];
    // (model, side, folded, not folded)
    let rows = [
        // One in each of 9 blocks; the other one goes into the sum.
        (model("resnet20", &width(4)), 16, 9, 9),
        // Two in each of 16 blocks; not the third and the 4 on shortcuts.
        (model("resnet50", &width(2)), 32, 32, 20),
        // Between the second and third convolution, and the two of branches 2 and 3; not before poolings and joins.
        (model("googlenet", &width(4)), 32, 1 + 18, 1 + 36),
        // Before the quantizer stands a sum in full precision.
        (model("resnet18-double", &width(2)), 32, 0, 16),
    ];
    for (choice, side, folded, kept) in rows {
        let both = quant(method("dorefa", 2, &[]), method("dorefa", 2, &[]), MethodChoice::float(), &["first", "last"]);
        let plan = Plan::new(&choice, &both, [3, side, side], 6).unwrap();
        tch::manual_seed(2);
        let (_store, mut network) = network(&plan);
        let images = noise(&[4, 3, side, side], 6);
        let _running_statistics = tch::no_grad(|| network.forward(&images, &TRAINING)).unwrap();
        let own = tch::no_grad(|| network.forward(&images, &EVALUATION)).unwrap();
        let folder = harness_methods::find_folder("bn-optimal").unwrap();
        let options = Options::defaults(folder.about().about.options);
        let sample = images.narrow(0, 0, 1);
        let norms = tch::no_grad(|| network.fold_batch_norms(&sample, &EVALUATION, folder, &options)).unwrap();
        let pass = tch::no_grad(|| network.integer_forward(&images, &EVALUATION, &norms)).unwrap();
        let name = &choice.name;
        assert_eq!((pass.norms.len(), norms.kept.len()), (folded, kept), "{name}: {:#?}", norms.kept);
        assert!(pass.norms.iter().all(|norm| norm.different == 0 && norm.compared > 0), "{name}: {:?}", pass.norms);
        assert_eq!(pass.logits.size(), own.size());
        if pass.norms.iter().all(|norm| norm.different_f32 == 0) {
            let difference = f64::try_from((pass.logits - own).abs().max()).unwrap();
            assert!(difference < 1e-3, "{name}: {difference}");
        }
    }
}
