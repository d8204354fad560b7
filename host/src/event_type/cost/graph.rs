//! A schema as a graph: which subschema applies which others, and to what part of the value.
//!
//! Only what the root leads to is read. Keywords of all drafts are read alike, since reading one too many
//! only makes a schema dearer than it is.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::CostFault;

/// Longest reference that is repeated in a fault, in characters.
const SHOWN_CHARACTERS_MAX: usize = 100;

/// To what part of its value a subschema applies another.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place<'s> {
    /// To the value itself.
    Same,
    /// To one property.
    Property(&'s str),
    /// To properties whose names have a pattern.
    SomeProperties,
    /// To properties that are not named beside.
    OtherProperties,
    /// To one item.
    Item(usize),
    /// To all items from this one on.
    ItemsFrom(usize),
    /// To the names of properties.
    Name,
}

/// One application.
#[derive(Debug)]
pub(super) struct Edge<'s> {
    pub(super) place: Place<'s>,
    pub(super) to: usize,
}

/// A subschema.
#[derive(Debug, Default)]
pub(super) struct Node<'s> {
    pub(super) edges: Vec<Edge<'s>>,
    /// The properties that it names.
    named: BTreeSet<&'s str>,
    /// Whether it asks which properties or items were looked at, for which it looks again.
    looks_twice: bool,
}

impl<'s> Node<'s> {
    /// What it applies to the same value.
    pub(super) fn same(&self) -> impl Iterator<Item = &Edge<'s>> {
        self.edges.iter().filter(|edge| edge.place == Place::Same)
    }

    /// How often it applies what it applies.
    pub(super) fn times(&self) -> u64 {
        if self.looks_twice { 2 } else { 1 }
    }
}

/// All subschemas that the root leads to.
pub(super) struct Graph<'s> {
    pub(super) nodes: Vec<Node<'s>>,
    pub(super) root: usize,
    pub(super) patterns: usize,
}

struct Reader<'s> {
    root: &'s Value,
    /// What the schema calls itself, without a fragment.
    name: Option<&'s str>,
    known: HashMap<*const Value, usize>,
    found: Vec<&'s Value>,
}

impl<'s> Graph<'s> {
    /// Reads a schema.
    pub(super) fn of(root: &'s Value) -> Result<Self, CostFault> {
        let name = root.get("$id").or_else(|| root.get("id")).and_then(Value::as_str);
        let mut reader = Reader {
            root,
            name: name.map(|name| name.split('#').next().unwrap_or_default()),
            known: HashMap::new(),
            found: Vec::new(),
        };
        let mut graph = Self {
            nodes: Vec::new(),
            root: reader.number(root),
            patterns: 0,
        };
        while let Some(&value) = reader.found.get(graph.nodes.len()) {
            let mut node = Node::default();
            if let Value::Object(schema) = value {
                let is_root = std::ptr::eq(value, root);
                reader.read(schema, is_root, &mut node)?;
                let patterns = schema.get("patternProperties").and_then(Value::as_object);
                graph.patterns += patterns.map_or(0, Map::len);
                graph.patterns += usize::from(schema.get("pattern").is_some_and(Value::is_string));
            }
            graph.nodes.push(node);
        }
        Ok(graph)
    }

    /// Whether two applications by two subschemas (or one) may be to the same part.
    pub(super) fn may_meet(&self, one: (&Node<'_>, &Place<'_>), other: (&Node<'_>, &Place<'_>)) -> bool {
        use Place::{Item, ItemsFrom, Name, OtherProperties, Property, Same, SomeProperties};
        let by_one = std::ptr::eq(one.0, other.0);
        match (one.1, other.1) {
            (Same | Name, _) | (_, Same | Name) => false,
            (Item(a), Item(b)) => a == b,
            (Item(a), ItemsFrom(b)) | (ItemsFrom(b), Item(a)) => a >= b,
            (ItemsFrom(_), ItemsFrom(_)) => true,
            (Item(_) | ItemsFrom(_), _) | (_, Item(_) | ItemsFrom(_)) => false,
            (Property(a), Property(b)) => a == b,
            (Property(name), OtherProperties) => !other.0.named.contains(name),
            (OtherProperties, Property(name)) => !one.0.named.contains(name),
            // What has a pattern is not among the others of the same subschema.
            (OtherProperties, SomeProperties) | (SomeProperties, OtherProperties) => !by_one,
            (SomeProperties, Property(_) | SomeProperties)
            | (Property(_), SomeProperties)
            | (OtherProperties, OtherProperties) => true,
        }
    }
}

impl<'s> Reader<'s> {
    fn number(&mut self, value: &'s Value) -> usize {
        let next = self.found.len();
        let number = *self.known.entry(std::ptr::from_ref(value)).or_insert(next);
        if number == next {
            self.found.push(value);
        }
        number
    }

    fn read(
        &mut self,
        schema: &'s Map<String, Value>,
        is_root: bool,
        node: &mut Node<'s>,
    ) -> Result<(), CostFault> {
        if !is_root {
            check_unnamed(schema)?;
        }
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            node.named.extend(properties.keys().map(String::as_str));
        }
        let ahead = |key: &str| schema.get(key).and_then(Value::as_array).map_or(0, Vec::len);
        let after_items = ahead("prefixItems").max(ahead("items"));
        for (keyword, value) in schema {
            match keyword.as_str() {
                "$ref" => {
                    if let Some(reference) = value.as_str() {
                        let target = self.target(reference)?;
                        self.apply(Place::Same, target, node);
                    }
                }
                "$dynamicRef" => return Err(CostFault::Keyword("$dynamicRef")),
                "$recursiveRef" => return Err(CostFault::Keyword("$recursiveRef")),
                "allOf" | "anyOf" | "oneOf" | "extends" | "disallow" => {
                    for one in value.as_array().into_iter().flatten() {
                        self.apply(Place::Same, one, node);
                    }
                }
                "not" | "if" | "then" | "else" => self.apply(Place::Same, value, node),
                "dependentSchemas" | "dependencies" => {
                    for one in value.as_object().into_iter().flat_map(Map::values) {
                        self.apply(Place::Same, one, node);
                    }
                }
                "properties" => {
                    for (name, one) in value.as_object().into_iter().flatten() {
                        self.apply(Place::Property(name), one, node);
                    }
                }
                "patternProperties" => {
                    for one in value.as_object().into_iter().flat_map(Map::values) {
                        self.apply(Place::SomeProperties, one, node);
                    }
                }
                "additionalProperties" => self.apply(Place::OtherProperties, value, node),
                "propertyNames" => self.apply(Place::Name, value, node),
                "prefixItems" => self.apply_in_order(value, node),
                "items" if value.is_array() => self.apply_in_order(value, node),
                "items" | "additionalItems" => self.apply(Place::ItemsFrom(after_items), value, node),
                "contains" => self.apply(Place::ItemsFrom(0), value, node),
                "unevaluatedProperties" => {
                    node.looks_twice = true;
                    self.apply(Place::OtherProperties, value, node);
                }
                "unevaluatedItems" => {
                    node.looks_twice = true;
                    self.apply(Place::ItemsFrom(after_items), value, node);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn apply_in_order(&mut self, values: &'s Value, node: &mut Node<'s>) {
        for (index, one) in values.as_array().into_iter().flatten().enumerate() {
            self.apply(Place::Item(index), one, node);
        }
    }

    fn apply(&mut self, place: Place<'s>, value: &'s Value, node: &mut Node<'s>) {
        // Elsewhere the schema is none, which compiling it says better.
        if value.is_object() || value.is_boolean() {
            let to = self.number(value);
            node.edges.push(Edge { place, to });
        }
    }

    /// The place that a reference names.
    fn target(&self, reference: &str) -> Result<&'s Value, CostFault> {
        let unknown = || CostFault::Reference(reference.chars().take(SHOWN_CHARACTERS_MAX).collect());
        let (document, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let itself = self.name.is_some_and(|name| name == document);
        if !(itself || document.is_empty() && reference.starts_with('#')) {
            return Err(unknown());
        }
        let pointer = percent_decoded(fragment).ok_or_else(unknown)?;
        if pointer.is_empty() {
            return Ok(self.root);
        }
        // On the way, nothing may have a name of its own, to which references would be relative.
        let steps = pointer.strip_prefix('/').ok_or_else(unknown)?;
        let mut value = self.root;
        for step in steps.split('/') {
            if let (Value::Object(schema), false) = (value, std::ptr::eq(value, self.root)) {
                check_unnamed(schema)?;
            }
            let name = step.replace("~1", "/").replace("~0", "~");
            let below = match value {
                Value::Object(members) => members.get(&name),
                Value::Array(items) => name.parse::<usize>().ok().and_then(|index| items.get(index)),
                _ => None,
            };
            value = below.ok_or_else(unknown)?;
        }
        Ok(value)
    }
}

fn check_unnamed(schema: &Map<String, Value>) -> Result<(), CostFault> {
    for keyword in ["$id", "id"] {
        if schema.get(keyword).is_some_and(Value::is_string) {
            return Err(CostFault::Keyword(keyword));
        }
    }
    Ok(())
}

/// The text of a fragment, in which `%25` is a per cent sign.
fn percent_decoded(fragment: &str) -> Option<String> {
    let mut parts = fragment.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let code = part
            .get(..2)
            .filter(|code| code.bytes().all(|b| b.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend_from_slice(part.get(2..).unwrap_or_default().as_bytes());
    }
    String::from_utf8(bytes).ok()
}
