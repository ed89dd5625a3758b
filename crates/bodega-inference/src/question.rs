//! What a client asks a model, taken apart into rows, and put together again as an answer.

use std::sync::Arc;

use bodega_edge::predict::{Answered, Asked, Question, Refused, Rendered, Row};
use bytes::Bytes;

use crate::features::{self, Form};
use crate::kserve;
use crate::models::Model;
use crate::problem::Problem;
use crate::render;

/// A `/predict` or a `/batch_predict`.
pub(crate) struct Prediction {
    model: Arc<Model>,
    region: Arc<str>,
    form: Form,
    rows: Vec<Row>,
}

/// Reads a request for `model`.
pub(crate) fn read(model: &Arc<Model>, region: &Arc<str>, asked: &Asked<'_>) -> Result<Box<dyn Question>, Refused> {
    if let Some(endpoint) = kserve::endpoint(asked.path) {
        return kserve::read(model, asked, endpoint);
    }
    let form = if asked.path.ends_with("/batch_predict") { Form::Rows } else { Form::Row };
    rows(model, asked, form).map_err(|problem| problem.refused()).map(|rows| {
        let question = Prediction { model: Arc::clone(model), region: Arc::clone(region), form, rows };
        Box::new(question) as Box<dyn Question>
    })
}

fn rows(model: &Model, asked: &Asked<'_>, form: Form) -> Result<Vec<Row>, Problem> {
    if asked.method != "POST" {
        let message = format!("{} is not for predictions: POST {{\"features\": [...]}}", asked.method);
        return Err(Problem::new(405, "", message));
    }
    model.check_length(asked.body)?;
    let records = features::read(asked.body, &model.signature, form)?;
    Ok(records.into_iter().map(|record| model.row(&record)).collect())
}

impl Question for Prediction {
    fn rows(&self) -> &[Row] {
        &self.rows
    }

    fn render(&self, answers: &[Answered]) -> Option<Rendered> {
        let signature = &self.model.signature;
        let mut out = Vec::with_capacity(128);
        if self.form == Form::Row {
            let [answer] = answers else { return None };
            out.extend_from_slice(br#"{"prediction":"#);
            if !render::prediction(&mut out, signature, &answer.body) {
                return None;
            }
            out.extend_from_slice(br#","cached":"#);
            out.extend_from_slice(written(answer.is_cached));
        } else {
            out.extend_from_slice(br#"{"predictions":["#);
            for (at, answer) in answers.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                if !render::prediction(&mut out, signature, &answer.body) {
                    return None;
                }
            }
            out.extend_from_slice(format!(r#"],"count":{},"cached":["#, answers.len()).as_bytes());
            for (at, answer) in answers.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(written(answer.is_cached));
            }
            out.push(b']');
        }
        for (name, text) in
            [("edge_region", &*self.region), ("model", &self.model.settings.name), ("version", &self.model.version)]
        {
            out.extend_from_slice(format!(r#","{name}":"#).as_bytes());
            render::text(&mut out, text);
        }
        out.extend_from_slice(b"}\n");
        Some(Rendered::json(Bytes::from(out)))
    }

    fn render_failure(&self, status: u16, what: &str) -> Rendered {
        Rendered::json(Problem::new(status, "", what).refused().body)
    }
}

const fn written(flag: bool) -> &'static [u8] {
    if flag { b"true" } else { b"false" }
}
