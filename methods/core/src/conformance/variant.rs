//! Methods with other options than their own defaults.

use tch::nn;

use crate::{
    About, KeyDefault, KeyDoc, Method, MethodAbout, MethodError, Nonlinearity, OptionValue, Options, Quantizer, Site,
    Support,
};

/// A method with other defaults, so that the suite runs with other options than the method's own.
#[derive(Debug)]
pub struct Variant<'a, M> {
    method: &'a M,
    about: &'static MethodAbout,
}

impl<'a, M: Method> Variant<'a, M> {
    /// `method` with the defaults of `given` replaced, each of which it must document. `bits` narrows its widths.
    /// Leaks a little, as suits a test.
    pub fn new(method: &'a M, bits: Option<(u8, u8)>, given: &[(&str, OptionValue)]) -> Variant<'a, M> {
        let about = method.about();
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let options = Options::resolve(about.about.options, &given).unwrap();
        let options: Vec<KeyDoc> = about
            .about
            .options
            .iter()
            .map(|doc| {
                let value = options.iter().find(|(name, _)| *name == doc.name).map(|(_, value)| value.clone());
                KeyDoc { default: value.map_or(KeyDefault::Absent, default), ..*doc }
            })
            .collect();
        let about = MethodAbout {
            about: About { options: options.leak(), ..about.about },
            bits: bits.or(about.bits),
            ..*about
        };
        Variant { method, about: Box::leak(Box::new(about)) }
    }
}

fn default(value: OptionValue) -> KeyDefault {
    match value {
        OptionValue::Bool(v) => KeyDefault::Bool(v),
        OptionValue::Int(v) => KeyDefault::Int(v),
        OptionValue::Float(v) => KeyDefault::Float(v),
        OptionValue::Text(v) => KeyDefault::Text(v.leak()),
    }
}

impl<M: Method> Method for Variant<'_, M> {
    fn about(&self) -> &'static MethodAbout {
        self.about
    }

    fn check(&self, site: &Site, options: &Options) -> Result<(), MethodError> {
        self.method.check(site, options)
    }

    fn quantizer(
        &self,
        site: &Site,
        options: &Options,
        vars: &nn::Path<'_>,
    ) -> Result<Box<dyn Quantizer>, MethodError> {
        self.method.quantizer(site, options, vars)
    }

    fn deployable(&self, options: &Options) -> Support {
        self.method.deployable(options)
    }

    fn gradient_tolerance(&self) -> f64 {
        self.method.gradient_tolerance()
    }

    fn nonlinearity(&self) -> Nonlinearity {
        self.method.nonlinearity()
    }
}
