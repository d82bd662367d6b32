//! Weights of which a fraction is quantized.

use harness_method_core::base::{Twn, bwn};
use harness_method_core::rows::{Rows, column};
use harness_method_core::{Codes, MethodError, Quantizer, Site, StepContext};
use tch::{TchError, Tensor, nn};

use crate::schedule::Schedule;
use crate::select::{Rule, Selection, errors};

/// What quantized rows become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    /// Binary.
    Bwn,
    /// Ternary.
    Twn,
}

impl Base {
    /// Width of its codes, bits.
    pub(crate) fn width(self) -> u8 {
        match self {
            Base::Bwn => 1,
            Base::Twn => 2,
        }
    }
}

/// Some rows are kept in full precision, the others are quantized by the base quantizer.
#[derive(Debug)]
pub(crate) struct Hybrid {
    site: Site,
    base: Base,
    schedule: Schedule,
    rule: Rule,
    fixed: Option<Kept>,
}

/// The rows of a stage that stay real, as variables: a checkpoint inside the stage must bring them back, because the
/// errors they were drawn by are gone.
#[derive(Debug)]
struct Kept {
    /// 1 where a row stays real, `[m]`.
    rows: Tensor,
    /// Number of the stage, from 1; 0 before the first.
    stage: Tensor,
}

impl Kept {
    /// The rows kept since the beginning of `stage`: `drawn` if this is the beginning. Only training moves on.
    fn since(&mut self, stage: u64, drawn: &Tensor, ctx: &StepContext) -> Result<Tensor, TchError> {
        let number = stage as f64 + 1.0;
        let same = self.stage.f_eq(number)?;
        let kept = self.rows.f_ne(0.0)?.f_where_self(&same, drawn)?;
        if ctx.training {
            self.rows.f_copy_(&kept)?;
            let _ = self.stage.f_fill_(number)?;
        }
        Ok(kept)
    }
}

impl Hybrid {
    pub(crate) fn new(
        site: &Site,
        base: Base,
        schedule: Schedule,
        rule: Rule,
        vars: &nn::Path<'_>,
    ) -> Result<Hybrid, MethodError> {
        let rows = if rule.elements { site.shape.iter().product() } else { site.shape.first().copied().unwrap_or(1) };
        let fixed = match rule.selection {
            Selection::Fixed => Some(Kept {
                rows: vars.f_zeros_no_train("kept", &[rows])?,
                stage: vars.f_zeros_no_train("stage", &[])?,
            }),
            Selection::Roulette | Selection::Sorted => None,
        };
        Ok(Hybrid { site: site.clone(), base, schedule, rule, fixed })
    }

    /// True for what is kept in full precision of `x`, which the base has quantized to `codes`: bool, broadcastable to `x`.
    /// `None`: nothing is kept.
    fn kept(&mut self, x: &Tensor, codes: &Codes, ctx: &StepContext) -> Result<Option<Tensor>, MethodError> {
        let (stage, fraction) = self.schedule.at(ctx.progress());
        let rows = if self.rule.elements { x.numel() as i64 } else { x.size().first().copied().unwrap_or(1) };
        let Some(count) = self.rule.count(fraction, rows) else { return Ok(None) };
        let errors = errors(&x.f_reshape([rows, -1])?, &codes.dequantize(x)?.f_reshape([rows, -1])?)?;
        let kept = match &mut self.fixed {
            None => self.rule.kept(&errors, count, self.site.key(ctx))?,
            Some(fixed) => {
                let drawn = self.rule.kept(&errors, count, self.site.key(&StepContext { step: stage, ..*ctx }))?;
                fixed.since(stage, &drawn, ctx)?
            }
        };
        Ok(Some(if self.rule.elements { kept.f_reshape(x.size())? } else { column(&kept, x.dim())? }))
    }
}

impl Quantizer for Hybrid {
    fn site(&self) -> &Site {
        &self.site
    }

    fn assign(&mut self, x: &Tensor, ctx: &StepContext) -> Result<Codes, MethodError> {
        let codes = match self.base {
            Base::Bwn => bwn(x, Rows::Each, self.site.bits)?,
            Base::Twn => Twn::STOCHASTIC.quantize(x, self.site.bits)?,
        };
        let kept = self.kept(x, &codes, ctx)?;
        Ok(Codes { kept, ..codes })
    }
}
