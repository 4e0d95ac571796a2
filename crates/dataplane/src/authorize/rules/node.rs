//! An expression compiled: a tree in which every name is resolved and every pattern is ready.

use std::sync::Arc;

use ipnet::IpNet;
use regex::Regex;

/// What is known of the type of a value before there is a request. `Any`: nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Any,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Address,
    Texts,
    List,
    Texted,
    Map,
}

impl Type {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Any => "any value",
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Int => "an integer",
            Self::Uint => "an unsigned integer",
            Self::Double => "a double",
            Self::Text => "a string",
            Self::Address => "an address",
            Self::Texts | Self::List => "a list",
            Self::Texted | Self::Map => "a map",
        }
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    /// Of what a list holds, or of what a map is asked by.
    pub(super) fn element(self) -> Self {
        match self {
            Self::Texts | Self::Texted | Self::Map => Self::Text,
            Self::Any
            | Self::Null
            | Self::Bool
            | Self::Int
            | Self::Uint
            | Self::Double
            | Self::Text
            | Self::Address
            | Self::List => Self::Any,
        }
    }

    /// Could a value of the one be equal to a value of the other?
    pub(super) fn may_equal(self, other: Self) -> bool {
        let is_open = |one| matches!(one, Self::Any | Self::Null);
        let kind = |one| match one {
            Self::Int | Self::Uint | Self::Double => 1,
            // An address is compared with how it is written.
            Self::Text | Self::Address => 2,
            Self::Texts | Self::List => 3,
            Self::Texted | Self::Map => 4,
            Self::Bool => 5,
            Self::Any | Self::Null => 0,
        };
        is_open(self) || is_open(other) || kind(self) == kind(other)
    }
}

/// What a rule may read of a request and its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variable {
    Kind,
    Identity,
    User,
    Partner,
    KeyId,
    Tier,
    Scopes,
    Roles,
    Claims,
    Method,
    Path,
    Host,
    Scheme,
    Protocol,
    ClientIp,
    Time,
    Tenant,
    Headers,
    Query,
    /// A segment of the path by its place among those that the route names.
    Parameter(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Reckon(Arithmetic),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Lower,
    Upper,
    ToText,
    ToInt,
    ToUint,
    ToDouble,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoopKind {
    Exists,
    All,
    ExistsOne,
    /// A list of what `body` makes of each element that passes the filter.
    Map,
}

#[derive(Clone, Debug)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Arc<str>),
}

/// A regular expression, and what it costs.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) regex: Regex,
    /// Steps for each byte of a text: the time of one is at worst as long as the expression is large.
    pub(super) weight: usize,
}

/// A macro over the elements of a list, or the keys of a map. Its variable is a `Local` of its depth.
#[derive(Debug)]
pub(super) struct Loop {
    pub(super) kind: LoopKind,
    pub(super) range: Node,
    pub(super) filter: Option<Node>,
    pub(super) body: Node,
}

#[derive(Debug)]
pub(super) enum Node {
    Literal(Literal),
    List(Box<[Node]>),
    Variable(Variable),
    /// The variable of a loop, by how many loops are around that one.
    Local(usize),
    /// A member of a map.
    Member(Box<Node>, Arc<str>),
    HasMember(Box<Node>, Arc<str>),
    /// A variable that is not null.
    IsKnown(Variable),
    Index(Box<(Node, Node)>),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Box<(Node, Node)>),
    Or(Box<(Node, Node)>),
    Conditional(Box<(Node, Node, Node)>),
    Binary(Operator, Box<(Node, Node)>),
    Call(Function, Box<[Node]>),
    Matches(Box<Node>, Box<Pattern>),
    InNetwork(Box<Node>, Box<[IpNet]>),
    Loop(Box<Loop>),
}
