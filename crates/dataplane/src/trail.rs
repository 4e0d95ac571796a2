//! What was decided, stage by stage, and from which inputs: the heart of the decision record.

mod waits;

pub use waits::{Awaited, Cause, Wait};

/// The stages of design.md section 2 that decide something. The order is the order of a request's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Listener,
    Intake,
    Route,
    Shed,
    Authenticate,
    Authorize,
    Limit,
    Balance,
    Proxy,
    Respond,
}

impl Stage {
    pub fn text(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::Intake => "intake",
            Self::Route => "route",
            Self::Shed => "shed",
            Self::Authenticate => "authenticate",
            Self::Authorize => "authorize",
            Self::Limit => "limit",
            Self::Balance => "balance",
            Self::Proxy => "proxy",
            Self::Respond => "respond",
        }
    }
}

/// Which rule of the configuration spoke; an index into the snapshot that made the decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    None,
    Listener(u32),
    Route(u32),
    Identity(u32),
    /// A scope or role of the section `permissions`.
    Permission(u32),
    /// A rule of a route, in CEL.
    Condition(u32),
    Tier(u32),
    Service(u32),
    AddressList(u32),
}

/// The inputs that mattered: names and values, in order. Secrets never enter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    list: Vec<(&'static str, Input)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    Number(u64),
    Static(&'static str),
    Text(Box<str>),
}

impl Inputs {
    pub fn none() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn number(mut self, name: &'static str, value: u64) -> Self {
        self.list.push((name, Input::Number(value)));
        self
    }

    #[must_use]
    pub fn fixed(mut self, name: &'static str, value: &'static str) -> Self {
        self.list.push((name, Input::Static(value)));
        self
    }

    #[must_use]
    pub fn text(mut self, name: &'static str, value: &str) -> Self {
        self.list.push((name, Input::Text(value.into())));
        self
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &(&'static str, Input)> {
        self.list.iter()
    }
}

/// One decision of one stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub stage: Stage,
    /// One word: `matched`, `anonymous`, `admitted`, `refused`, ...
    pub verdict: &'static str,
    pub rule: Rule,
    pub inputs: Inputs,
}

/// Lists of inputs that a trail keeps for its next request: as many as stages that have something to say of the usual one.
const SPARE: usize = 2;

/// The decisions of one request, in order. Kept by the connection and used again.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    steps: Vec<Step>,
    /// Empty, with the memory of earlier ones.
    spare: Vec<Inputs>,
    /// In the order in which they ended.
    waits: Vec<Wait>,
}

impl Trail {
    pub fn clear(&mut self) {
        self.waits.clear();
        for Step { mut inputs, .. } in self.steps.drain(..) {
            if inputs.list.capacity() > 0 && self.spare.len() < SPARE {
                inputs.list.clear();
                self.spare.push(inputs);
            }
        }
    }

    /// As `Inputs::none`, for what most requests have to say: without an allocation.
    pub fn inputs(&mut self) -> Inputs {
        self.spare.pop().unwrap_or_default()
    }

    pub fn push(&mut self, stage: Stage, verdict: &'static str, rule: Rule, inputs: Inputs) {
        self.steps.push(Step { stage, verdict, rule, inputs });
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

impl std::fmt::Display for Input {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(value) => write!(formatter, "{value}"),
            Self::Static(value) => formatter.write_str(value),
            Self::Text(value) => formatter.write_str(value),
        }
    }
}
