//! Checks that every activation names a layer that it feeds.
//!
//! An activation quantizer is recorded under the name of the layer whose input it quantizes, and `keep_float` looks
//! it up by that name. A model that named another layer would quantize an input that was to stay in full precision.

use crate::ModelError;
use crate::layer::Layer;

/// Checks every activation of a network.
///
/// # Errors
/// [`ModelError::WrongFeed`] for the first activation whose name is not that of a layer with weights which its output
/// reaches before it passes through other weights.
pub(super) fn check(layers: &[Layer]) -> Result<(), ModelError> {
    check_list(layers, &[])
}

/// `after` are the layers with weights that the output of the list reaches.
fn check_list(layers: &[Layer], after: &[&str]) -> Result<(), ModelError> {
    for (i, layer) in layers.iter().enumerate() {
        let rest = || reached(&layers[i + 1..], after);
        match layer {
            Layer::Activation { of, .. } => {
                let fed = rest();
                if !fed.contains(&of.as_str()) {
                    return Err(wrong(of, &fed));
                }
            }
            Layer::Residual { body, shortcut } => {
                let rest = rest();
                check_list(body, &rest)?;
                check_list(shortcut, &rest)?;
            }
            Layer::Concat { branches } => {
                let rest = rest();
                branches.iter().try_for_each(|branch| check_list(branch, &rest))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The layers with weights that the input of a list reaches first, on every way through it.
fn reached<'a>(layers: &'a [Layer], after: &[&'a str]) -> Vec<&'a str> {
    let Some((layer, rest)) = layers.split_first() else { return after.to_vec() };
    let ways: Vec<&[Layer]> = match layer {
        Layer::Residual { body, shortcut } => vec![body, shortcut],
        Layer::Concat { branches } => branches.iter().map(Vec::as_slice).collect(),
        _ => return layer.weighted().map_or_else(|| reached(rest, after), |name| vec![name]),
    };
    let rest = reached(rest, after);
    let mut found: Vec<&str> = Vec::new();
    for name in ways.into_iter().flat_map(|way| reached(way, &rest)) {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

fn wrong(of: &str, fed: &[&str]) -> ModelError {
    let quoted = fed.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let expected = match fed {
        [] => "a layer with weights behind it, but there is none".to_owned(),
        [_] => format!("{quoted}, which it feeds"),
        _ => format!("one of {quoted}, which it feeds"),
    };
    ModelError::WrongFeed { name: of.to_owned(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plan;
    use harness_records::config::{MethodChoice, QuantConfig};

    fn error(layers: &[Layer]) -> String {
        check(layers).map_or_else(|error| error.to_string(), |()| "no error".to_owned())
    }

    #[test]
    fn a_misspelt_name_is_refused_with_the_right_one() {
        let list = |of: &str| [Layer::conv("conv1", 4, 3, 1), Layer::activation(of), Layer::classifier("conv2", 2)];
        assert_eq!(error(&list("conv2")), "no error");
        assert_eq!(error(&list("cnov2")), "an activation names the layer `cnov2`, expected `conv2`, which it feeds");
        // The name of a layer before it, or of one behind another one, is wrong too.
        assert_eq!(error(&list("conv1")), "an activation names the layer `conv1`, expected `conv2`, which it feeds");
    }

    #[test]
    fn every_way_that_the_data_takes_counts() {
        let list = |of: &str| {
            vec![
                Layer::activation(of),
                Layer::Residual { body: vec![Layer::conv("a", 4, 3, 1)], shortcut: vec![Layer::Relu] },
                Layer::Concat { branches: vec![vec![Layer::conv("b", 4, 1, 0)], vec![Layer::conv("c", 4, 1, 0)]] },
                Layer::classifier("d", 2),
            ]
        };
        for of in ["a", "b", "c"] {
            assert_eq!(error(&list(of)), "no error");
        }
        let expected = "an activation names the layer `d`, expected one of `a`, `b`, `c`, which it feeds";
        assert_eq!(error(&list("d")), expected);
    }

    #[test]
    fn an_activation_at_the_end_feeds_nothing() {
        let list = [Layer::classifier("fc", 2), Layer::activation("fc")];
        let expected = "an activation names the layer `fc`, expected a layer with weights behind it, but there is none";
        assert_eq!(error(&list), expected);
    }

    #[test]
    fn a_plan_refuses_such_a_network() {
        let layers = vec![Layer::conv("conv1", 4, 3, 1), Layer::activation("cnov2"), Layer::conv("conv2", 4, 3, 1)];
        let float = MethodChoice::float;
        let quant = QuantConfig::of(float(), float(), float(), Vec::new());
        let refused = Plan::of_layers(layers, &quant, [1, 8, 8]);
        assert!(matches!(&refused, Err(ModelError::WrongFeed { name, .. }) if name == "cnov2"), "{refused:?}");
    }

    #[test]
    fn no_model_names_a_wrong_layer() {
        for model in crate::MODELS {
            let options = harness_records::options::Options::defaults(model.about().options);
            check(&model.layers([3, 224, 224], 10, &options).unwrap()).unwrap();
        }
    }
}
