//! What an expression may contain, checked once when it is saved; see the rules in [`super`].
//!
//! On the way the attributes of `event` become variables of their own (`event.source` is the variable
//! of that name, `event.data` is `data`), so that an unknown attribute is told when the filter is saved,
//! and nothing is bound twice.

use cel::IdedExpr;
use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SelectExpr};

use super::{FilterFault, NESTING_MAX};

/// Most nodes of an expression, after the macros (`exists`, `all`, …) were expanded.
pub const NODES_MAX: usize = 256;
/// Most regular expressions of one filter: each is compiled anew for every event.
pub const MATCHES_MAX: usize = 4;
/// Longest regular expression, in bytes.
pub const REGEX_BYTES_MAX: usize = 128;

const ATTRIBUTES: [&str; 7] = ["id", "source", "type", "subject", "time", "extensions", "data"];
/// Names of types, for `type(data.x) == string`.
const TYPES: [&str; 9] = [
    "int",
    "uint",
    "double",
    "bool",
    "string",
    "bytes",
    "list",
    "map",
    "null_type",
];
const FUNCTIONS: [&str; 12] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "string",
    "int",
    "uint",
    "double",
    "bool",
    "type",
    "dyn",
];
const OPERATORS: [&str; 19] = [
    op::CONDITIONAL,
    op::LOGICAL_AND,
    op::LOGICAL_OR,
    op::LOGICAL_NOT,
    op::SUBSTRACT,
    op::ADD,
    op::MULTIPLY,
    op::DIVIDE,
    op::MODULO,
    op::EQUALS,
    op::NOT_EQUALS,
    op::GREATER_EQUALS,
    op::LESS_EQUALS,
    op::GREATER,
    op::LESS,
    op::NEGATE,
    op::INDEX,
    op::IN,
    op::NOT_STRICTLY_FALSE,
];

/// Bounds the nesting of brackets and the length of runs of prefix operators before the parser, which is
/// recursive, sees them. Brackets inside texts count too; that only refuses what nobody writes.
pub(super) fn nesting(source: &str) -> Result<(), FilterFault> {
    let limit = usize::from(NESTING_MAX);
    let (mut depth, mut prefixes) = (0_usize, 0_usize);
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        prefixes = match byte {
            b'!' | b'-' | b'?' => prefixes + 1,
            byte if byte.is_ascii_whitespace() => prefixes,
            _ => 0,
        };
        if depth > limit || prefixes > limit {
            return Err(FilterFault::TooDeep);
        }
    }
    let conditionals = source.bytes().filter(|byte| *byte == b'?').count();
    if conditionals > limit {
        Err(FilterFault::TooDeep)
    } else {
        Ok(())
    }
}

/// Checks an expression; gives it with the attributes of `event` resolved, and whether it reads `data`.
pub(super) fn check(mut expression: IdedExpr) -> Result<(IdedExpr, bool), FilterFault> {
    let mut checker = Checker::default();
    checker.visit(&mut expression)?;
    Ok((expression, checker.reads_data))
}

/// The patterns of all `matches` in a checked expression.
pub(super) fn regexes(expression: &IdedExpr) -> Vec<&str> {
    let mut found = Vec::new();
    let mut open = vec![expression];
    while let Some(node) = open.pop() {
        match &node.expr {
            Expr::Call(call) => {
                if call.func_name == "matches"
                    && let Some(Expr::Literal(LiteralValue::String(pattern))) =
                        call.args.last().map(|arg| &arg.expr)
                {
                    found.push(pattern.inner());
                }
                open.extend(call.target.as_deref());
                open.extend(&call.args);
            }
            Expr::List(list) => open.extend(&list.elements),
            Expr::Select(select) => open.push(&select.operand),
            // The range and the body of a comprehension hold no `matches`, as the check made sure.
            _ => {}
        }
    }
    found
}

#[derive(Default)]
struct Checker {
    nodes: usize,
    matches: usize,
    reads_data: bool,
    place: Place,
}

/// Where the visit stands.
#[derive(Default)]
enum Place {
    /// Outside of every comprehension.
    #[default]
    Outside,
    /// In what a comprehension runs over.
    Range,
    /// In its body, where these variables are known.
    Body([String; 2]),
}

impl Checker {
    fn visit(&mut self, node: &mut IdedExpr) -> Result<(), FilterFault> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(FilterFault::TooMany);
        }
        if let Expr::Select(select) = &mut node.expr
            && let Expr::Ident(name) = &select.operand.expr
            && name == "event"
        {
            node.expr = attribute(select)?;
        }
        match &mut node.expr {
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => self.visit(&mut select.operand),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => {
                self.not_building(list.elements.iter().all(is_literal))?;
                list.elements
                    .iter_mut()
                    .try_for_each(|element| self.visit(element))
            }
            Expr::Map(map) => {
                self.not_building(map.entries.is_empty())?;
                for entry in &mut map.entries {
                    let EntryExpr::MapEntry(entry) = &mut entry.expr else {
                        return Err(FilterFault::Unsupported { what: "a struct" });
                    };
                    self.visit(&mut entry.key)?;
                    self.visit(&mut entry.value)?;
                }
                Ok(())
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Struct(_) => Err(FilterFault::Unsupported { what: "a struct" }),
            Expr::Unspecified => Err(FilterFault::Unsupported {
                what: "an empty expression",
            }),
        }
    }

    fn name(&mut self, name: &str) -> Result<(), FilterFault> {
        let local =
            matches!(&self.place, Place::Body(variables) if variables.iter().any(|known| known == name));
        match name {
            _ if local => Ok(()),
            "data" => {
                self.reads_data = true;
                match self.place {
                    Place::Body(_) => Err(FilterFault::Comprehension {
                        detail: "the body may use the element and the event's attributes, but not `data`",
                    }),
                    Place::Outside | Place::Range => Ok(()),
                }
            }
            "event" => Err(FilterFault::WholeEvent),
            "type" => Ok(()),
            name if name.starts_with("event.") || TYPES.contains(&name) => Ok(()),
            name => Err(FilterFault::Variable {
                name: name.to_owned(),
            }),
        }
    }

    fn call(&mut self, call: &mut CallExpr) -> Result<(), FilterFault> {
        let name = call.func_name.as_str();
        if !FUNCTIONS.contains(&name) && !OPERATORS.contains(&name) {
            return Err(FilterFault::Function {
                name: name.to_owned(),
            });
        }
        if name == op::ADD {
            // The accumulator of a macro, whose name cannot be written, is the one thing added to.
            let first = call.args.first().map(|arg| &arg.expr);
            let macros = matches!(first, Some(Expr::Ident(name)) if name.starts_with('@'));
            self.not_building(macros)?;
            if macros
                && let [
                    _,
                    IdedExpr {
                        expr: Expr::List(list),
                        ..
                    },
                ] = &mut call.args[..]
            {
                return list
                    .elements
                    .iter_mut()
                    .try_for_each(|element| self.visit(element));
            }
        }
        if name == "matches" {
            self.regex(call)?;
        }
        if let Some(target) = &mut call.target {
            self.visit(target)?;
        }
        call.args.iter_mut().try_for_each(|arg| self.visit(arg))
    }

    fn regex(&mut self, call: &CallExpr) -> Result<(), FilterFault> {
        let fault = |detail: &str| {
            Err(FilterFault::Regex {
                detail: detail.to_owned(),
            })
        };
        self.matches += 1;
        let Some(Expr::Literal(LiteralValue::String(pattern))) = call.args.last().map(|arg| &arg.expr) else {
            return fault("the regular expression must be written out");
        };
        match self.place {
            Place::Body(_) | Place::Range => {
                fault("cannot be used inside all, exists, exists_one, filter and map")
            }
            Place::Outside if self.matches > MATCHES_MAX => fault("more than 4 in one filter"),
            Place::Outside if pattern.inner().len() > REGEX_BYTES_MAX => fault("longer than 128 bytes"),
            // `(a{99}){99}` is nine characters and a million states.
            Place::Outside if pattern.inner().contains('{') => {
                fault("counted repetition (`{`) is not supported")
            }
            Place::Outside => Ok(()),
        }
    }

    fn comprehension(&mut self, comprehension: &mut ComprehensionExpr) -> Result<(), FilterFault> {
        let fault = |detail| Err(FilterFault::Comprehension { detail });
        if !matches!(self.place, Place::Outside) {
            return fault("cannot be nested");
        }
        if comprehension.iter_var2.is_some() {
            return fault("take one variable");
        }
        let variable = comprehension.iter_var.clone();
        if ["event", "data", "type"].contains(&variable.as_str()) || TYPES.contains(&variable.as_str()) {
            return fault("the variable cannot be called event, data, type or like a type");
        }
        if !is_path(&comprehension.iter_range) && !is_literal_list(&comprehension.iter_range) {
            return fault("run over a path such as `data.items`, or over a list that is written out");
        }
        self.place = Place::Range;
        self.visit(&mut comprehension.iter_range)?;
        self.place = Place::Body([variable, comprehension.accu_var.clone()]);
        self.visit(&mut comprehension.accu_init)?;
        self.visit(&mut comprehension.loop_cond)?;
        self.visit(&mut comprehension.loop_step)?;
        self.visit(&mut comprehension.result)?;
        self.place = Place::Outside;
        Ok(())
    }

    /// In a body nothing may be built that is larger than its parts; `exempt` is what is known to be small.
    fn not_building(&self, exempt: bool) -> Result<(), FilterFault> {
        match self.place {
            Place::Body(_) | Place::Range if !exempt => Err(FilterFault::Comprehension {
                detail: "`+`, lists and maps cannot be used inside",
            }),
            Place::Outside | Place::Body(_) | Place::Range => Ok(()),
        }
    }
}

/// `event.source` as a variable; `has(event.subject)` as `event.subject != null`.
fn attribute(select: &mut SelectExpr) -> Result<Expr, FilterFault> {
    if !ATTRIBUTES.contains(&select.field.as_str()) {
        return Err(FilterFault::Attribute {
            name: select.field.chars().take(80).collect(),
        });
    }
    let variable = match select.field.as_str() {
        name @ ("type" | "data") => name.to_owned(),
        name => format!("event.{name}"),
    };
    let id = select.operand.id;
    if !select.test {
        return Ok(Expr::Ident(variable));
    }
    let node = |expr| IdedExpr { id, expr };
    Ok(Expr::Call(CallExpr {
        func_name: op::NOT_EQUALS.to_owned(),
        target: None,
        args: vec![
            node(Expr::Ident(variable)),
            node(Expr::Literal(LiteralValue::Null)),
        ],
    }))
}

fn is_literal(node: &IdedExpr) -> bool {
    matches!(node.expr, Expr::Literal(_))
}

fn is_literal_list(node: &IdedExpr) -> bool {
    matches!(&node.expr, Expr::List(list) if list.elements.iter().all(is_literal))
}

fn is_path(node: &IdedExpr) -> bool {
    match &node.expr {
        Expr::Ident(_) => true,
        Expr::Select(select) => !select.test && is_path(&select.operand),
        Expr::Call(call) => {
            call.func_name == op::INDEX
                && matches!(&call.args[..], [path, index] if is_path(path) && is_literal(index))
        }
        _ => false,
    }
}
