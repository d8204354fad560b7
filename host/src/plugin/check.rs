//! The cheap look at a component before the expensive compiler sees it. Pure.
//!
//! Small inputs can cost a compiler minutes and gigabytes; each bound here stops one such shape. The
//! instances that a tree of components makes are counted without making them, saturating. What is
//! left is validated, with exactly the features that the engine has.

use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, ComponentTypeRef,
    Encoding, FunctionBody, Instance, MemoryType, Operator, Parser, Payload, TableType, Validator,
    WasmFeatures,
};

use super::limits::{PAGE_BYTES, PluginLimits};

/// What a component names itself to need and to offer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) imports: Vec<String>,
    pub(super) exports: Vec<String>,
}

/// A file that is not compiled.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Too many bytes.
    #[error("the component has {bytes} bytes; `plugins.component_bytes` allows {most}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// A core module.
    #[error(
        "this is a core module, not a component: build with `--target wasm32-wasip2`, \
         or wrap it with `hookway plugin build` or `wasm-tools component new`"
    )]
    CoreModule,
    /// Something else altogether, such as a native library or a text.
    #[error(
        "this is not a WebAssembly component (it does not begin with `\\0asm` and the version of components)"
    )]
    NotWasm,
    /// Well-formed but beyond a bound.
    #[error("the component has {what}; `plugins.{limit}` allows {most}")]
    Bound {
        /// What there is too much of.
        what: String,
        /// The limit.
        limit: &'static str,
        /// Its value.
        most: u64,
    },
    /// It instantiates a component that it does not contain.
    #[error("the component instantiates a component that is not inside it; compose it first")]
    Open,
    /// Not valid WebAssembly, or it uses a feature that is off (threads, 64-bit memory, …).
    #[error("the component is not valid or uses a feature that this host does not have")]
    Invalid(#[from] wasmparser::BinaryReaderError),
}

/// Checks the bytes and reads the names.
pub(super) fn check(bytes: &[u8], limits: &PluginLimits) -> Result<Facts, CheckError> {
    if bytes.len() > limits.component_bytes {
        return Err(CheckError::TooLarge {
            bytes: bytes.len(),
            most: limits.component_bytes,
        });
    }
    match bytes.get(..8) {
        Some(b"\0asm\x0d\0\x01\0") => {}
        Some(b"\0asm\x01\0\0\0") => return Err(CheckError::CoreModule),
        _ => return Err(CheckError::NotWasm),
    }
    let mut walk = Walk {
        limits,
        frames: Vec::new(),
        facts: Facts::default(),
        functions: 0,
        memories: 0,
        tables: 0,
        memory_bytes: 0,
    };
    for payload in Parser::new(0).parse_all(bytes) {
        walk.visit(payload?)?;
    }
    Validator::new_with_features(features()).validate_all(bytes)?;
    Ok(walk.facts)
}

/// What the engine has: WebAssembly 2.0 and a few small additions that compilers use by default.
fn features() -> WasmFeatures {
    WasmFeatures::WASM2
        | WasmFeatures::EXTENDED_CONST
        | WasmFeatures::COMPONENT_MODEL
        | WasmFeatures::CALL_INDIRECT_OVERLONG
        | WasmFeatures::BULK_MEMORY_OPT
}

/// Walks through the nested modules and components in one pass.
struct Walk<'a> {
    limits: &'a PluginLimits,
    frames: Vec<Frame>,
    facts: Facts,
    functions: usize,
    memories: u32,
    tables: u32,
    memory_bytes: u64,
}

enum Frame {
    Module,
    Component(Tree),
}

/// How many instances come from instantiating a component, and each of those it can name; none for
/// one that is not known (imported, or an export of an instance).
#[derive(Default)]
struct Tree {
    instances: usize,
    components: Vec<Option<usize>>,
}

impl Walk<'_> {
    fn visit(&mut self, payload: Payload<'_>) -> Result<(), CheckError> {
        match payload {
            Payload::Version { encoding, .. } => self.frames.push(match encoding {
                Encoding::Module => Frame::Module,
                Encoding::Component => Frame::Component(Tree::default()),
            }),
            Payload::End(_) => self.end()?,
            Payload::MemorySection(memories) => {
                for memory in memories {
                    self.memory(memory?)?;
                }
            }
            Payload::TableSection(tables) => {
                for table in tables {
                    self.table(table?.ty)?;
                }
            }
            Payload::CodeSectionEntry(body) => self.function(&body)?,
            Payload::InstanceSection(instances) => {
                for instance in instances {
                    if matches!(instance?, Instance::Instantiate { .. }) {
                        self.instances(1)?;
                    }
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances {
                    if let ComponentInstance::Instantiate { component_index, .. } = instance? {
                        let inside = self.component(0, component_index).ok_or(CheckError::Open)?;
                        self.instances(inside.saturating_add(1))?;
                    }
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases {
                    match alias? {
                        ComponentAlias::Outer {
                            kind: ComponentOuterAliasKind::Component,
                            count,
                            index,
                        } => self.define(self.component(count, index)),
                        ComponentAlias::InstanceExport {
                            kind: ComponentExternalKind::Component,
                            ..
                        } => self.define(None),
                        _ => {}
                    }
                }
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    let import = import?;
                    if matches!(import.ty, ComponentTypeRef::Component(_)) {
                        self.define(None);
                    }
                    if self.frames.len() == 1 {
                        self.facts.imports.push(import.name.name.to_owned());
                    }
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    if export.kind == ComponentExternalKind::Component {
                        self.define(self.component(0, export.index));
                    }
                    if self.frames.len() == 1 {
                        self.facts.exports.push(export.name.name.to_owned());
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), CheckError> {
        if let Some(Frame::Component(tree)) = self.frames.pop() {
            bound(
                tree.instances as u64,
                "instances",
                "flattened_instances",
                self.limits.flattened_instances as u64,
            )?;
            self.define(Some(tree.instances));
        }
        Ok(())
    }

    /// What a component index means, as many components outwards as `count` says.
    fn component(&self, count: u32, index: u32) -> Option<usize> {
        let place = self.frames.len().checked_sub(1 + count as usize)?;
        match self.frames.get(place)? {
            Frame::Component(tree) => tree.components.get(index as usize).copied().flatten(),
            Frame::Module => None,
        }
    }

    fn define(&mut self, instances: Option<usize>) {
        if let Some(Frame::Component(tree)) = self.frames.last_mut() {
            tree.components.push(instances);
        }
    }

    fn instances(&mut self, more: usize) -> Result<(), CheckError> {
        let mut count = 0;
        if let Some(Frame::Component(tree)) = self.frames.last_mut() {
            tree.instances = tree.instances.saturating_add(more);
            count = tree.instances;
        }
        bound(
            count as u64,
            "instances",
            "flattened_instances",
            self.limits.flattened_instances as u64,
        )
    }

    fn memory(&mut self, memory: MemoryType) -> Result<(), CheckError> {
        self.memories = self.memories.saturating_add(1);
        bound(
            u64::from(self.memories),
            "linear memories",
            "memories",
            u64::from(self.limits.memories),
        )?;
        let bytes = memory.initial.saturating_mul(PAGE_BYTES as u64);
        self.memory_bytes = self.memory_bytes.saturating_add(bytes);
        bound(
            self.memory_bytes,
            "bytes of memory at the start",
            "memory_bytes",
            self.limits.memory_bytes as u64,
        )
    }

    fn table(&mut self, table: TableType) -> Result<(), CheckError> {
        self.tables = self.tables.saturating_add(1);
        bound(
            u64::from(self.tables),
            "tables",
            "tables",
            u64::from(self.limits.tables),
        )?;
        bound(
            table.initial,
            "elements in a table at the start",
            "table_elements",
            self.limits.table_elements as u64,
        )
    }

    fn function(&mut self, body: &FunctionBody<'_>) -> Result<(), CheckError> {
        self.functions = self.functions.saturating_add(1);
        bound(
            self.functions as u64,
            "functions",
            "functions",
            self.limits.functions as u64,
        )?;
        bound(
            body.range().len() as u64,
            "bytes in one function",
            "function_bytes",
            self.limits.function_bytes as u64,
        )?;
        let mut locals = 0_u64;
        for local in body.get_locals_reader()? {
            locals = locals.saturating_add(u64::from(local?.0));
        }
        bound(
            locals,
            "locals in one function",
            "function_locals",
            self.limits.function_locals as u64,
        )?;
        let mut depth = 0_u64;
        for operator in body.get_operators_reader()? {
            match operator? {
                Operator::Block { .. }
                | Operator::Loop { .. }
                | Operator::If { .. }
                | Operator::TryTable { .. } => {
                    depth += 1;
                    bound(
                        depth,
                        "control blocks inside each other",
                        "control_depth",
                        self.limits.control_depth as u64,
                    )?;
                }
                Operator::End => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        Ok(())
    }
}

/// One bound: what is counted, the limit's name and its value.
pub(super) fn bound(
    value: u64,
    what: &'static str,
    limit: &'static str,
    most: u64,
) -> Result<(), CheckError> {
    if value <= most {
        return Ok(());
    }
    Err(CheckError::Bound {
        what: format!("{value} {what}"),
        limit,
        most,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(text: &str) -> Result<Facts, CheckError> {
        check(&wat::parse_str(text).unwrap(), &PluginLimits::default())
    }

    /// The limit that a component is refused by.
    fn limit(text: &str) -> &'static str {
        match look(text) {
            Err(CheckError::Bound { limit, .. }) => limit,
            other => panic!("not beyond a bound: {other:?}"),
        }
    }

    fn module(inside: &str) -> String {
        format!("(component (core module {inside}))")
    }

    #[test]
    fn each_shape_that_costs_a_compiler_much_meets_its_bound() {
        let nested = |depth| format!("(func {}{})", "(block ".repeat(depth), ")".repeat(depth));
        assert!(look(&module(&nested(256))).is_ok());
        assert_eq!(limit(&module(&nested(257))), "control_depth");
        let locals = |count| format!("(func (local {}))", "i32 ".repeat(count));
        assert!(look(&module(&locals(2_000))).is_ok());
        assert_eq!(limit(&module(&locals(2_001))), "function_locals");
        assert_eq!(limit(&module(&"(func)".repeat(20_001))), "functions");
        let long = format!(
            "(func {})",
            "(drop (i64.const 0x7fffffffffffffff))".repeat(25_000)
        );
        assert_eq!(limit(&module(&long)), "function_bytes");
        assert_eq!(limit(&module("(memory 513)")), "memory_bytes");
        assert_eq!(limit(&module("(table 10001 funcref)")), "table_elements");
        assert_eq!(limit(&module(&"(table 1 funcref)".repeat(9))), "tables");
        assert_eq!(
            limit("(component (core module (memory 1)) (core module (memory 1)))"),
            "memories"
        );
    }

    #[test]
    fn instances_are_counted_through_nested_components_without_making_them() {
        // Each level instantiates the one inside it eight times: 8 to the power of 20 in the end.
        let mut text = "(component $c (core module $m) (core instance (instantiate $m)))".to_owned();
        for _ in 0..20 {
            text = format!(
                "(component $c {text} {})",
                "(instance (instantiate $c))".repeat(8)
            );
        }
        assert_eq!(limit(&text), "flattened_instances");
        let twice = "(component (component $c (core module $m) (core instance (instantiate $m)))
            (component $d (alias outer 1 $c (component $e)) (instance (instantiate $e)))
            (instance (instantiate $c)) (instance (instantiate $d)))";
        assert!(look(twice).is_ok());
        let open = "(component (import \"c\" (component $c)) (instance (instantiate $c)))";
        assert!(matches!(look(open), Err(CheckError::Open)));
    }

    #[test]
    fn features_that_are_off_and_broken_bytes_are_refused() {
        for inside in [
            "(memory 1 1 shared)",
            "(memory i64 1)",
            "(func (return_call 0))",
            "(type (struct))",
            "(tag)",
            "(memory 1 1 (pagesize 1))",
        ] {
            assert!(look(&module(inside)).is_err(), "{inside}");
        }
        let good = wat::parse_str(module("(func (result i32) (i32.const 1))")).unwrap();
        assert!(check(&good, &PluginLimits::default()).is_ok());
        for cut in 0..good.len() {
            // Some cuts fall between two sections and leave a smaller, valid component.
            let _any = check(&good[..cut], &PluginLimits::default());
        }
        let small = PluginLimits {
            component_bytes: 10,
            ..PluginLimits::default()
        };
        assert!(matches!(
            check(&good, &small),
            Err(CheckError::TooLarge { most: 10, .. })
        ));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let mut component = b"\0asm\x0d\0\x01\0".to_vec();
            component.extend(bytes);
            let _any = check(&component, &PluginLimits::default());
        }
    }
}
