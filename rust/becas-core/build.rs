//! Compiles the protos into OUT_DIR with protox, so that no system protoc is needed, and writes the table of
//! their fields that decoding walks.

use std::{
    collections::{BTreeMap, VecDeque},
    env,
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let package = root.join("becas/ft/v1");
    println!("cargo:rerun-if-changed={}", package.display());
    let mut files: Vec<PathBuf> = fs::read_dir(&package)?
        .map(|entry| entry.map(|found| found.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "proto"));
    files.sort();
    let descriptors = protox::compile(&files, [&root])?;
    write_fields(&descriptors, &PathBuf::from(env::var("OUT_DIR")?).join("fields.rs"))?;
    prost_build::Config::new()
        // Hash maps would write the entries of one message in another order each time.
        .btree_map(["."])
        .compile_fds(descriptors)?;
    Ok(())
}

/// Writes `MESSAGES`, every message reachable from `Event` (which is the first), as Rust.
#[expect(clippy::wildcard_enum_match_arm, reason = "any other type stops the build")]
fn write_fields(descriptors: &FileDescriptorSet, path: &Path) -> Result<(), Box<dyn Error>> {
    let mut messages = BTreeMap::new();
    let mut enums = BTreeMap::new();
    for file in &descriptors.file {
        for message in &file.message_type {
            collect(&format!(".{}", file.package()), message, &mut messages);
        }
        for found in &file.enum_type {
            enums.insert(format!(".{}.{}", file.package(), found.name()), found);
        }
    }
    let mut numbers = BTreeMap::from([(".becas.ft.v1.Event".to_owned(), 0_usize)]);
    let mut waiting = VecDeque::from([".becas.ft.v1.Event".to_owned()]);
    let mut body = String::new();
    while let Some(name) = waiting.pop_front() {
        let message = messages.get(&name).ok_or_else(|| format!("no message {name}"))?;
        writeln!(body, "    Message {{ name: {name:?}, fields: &[")?;
        for field in &message.field {
            let kind = match field.r#type() {
                Type::Message => {
                    let next = numbers.len();
                    let target = field.type_name().to_owned();
                    let number = *numbers.entry(target.clone()).or_insert_with(|| {
                        waiting.push_back(target);
                        next
                    });
                    format!("Kind::Message({number})")
                }
                Type::Enum => {
                    let found = enums
                        .get(field.type_name())
                        .ok_or_else(|| format!("no enum {}", field.type_name()))?;
                    let values: Vec<String> = found
                        .value
                        .iter()
                        .map(|value| format!("({:?}, {})", value.name(), value.number()))
                        .collect();
                    format!("Kind::Enum(&[{}])", values.join(", "))
                }
                Type::Double => "Kind::Double".to_owned(),
                Type::Int64 | Type::Int32 => "Kind::Integer".to_owned(),
                Type::Bool => "Kind::Bool".to_owned(),
                Type::String => "Kind::Text".to_owned(),
                other => {
                    return Err(format!("{name}: no rule for a field of type {other:?}").into());
                }
            };
            writeln!(body, "        {},", entry(field, &kind))?;
        }
        writeln!(body, "    ] }},")?;
    }
    let text = format!(
        "/// Every message reachable from `Event`, which is the first.\n\
         pub(crate) static MESSAGES: [Message; {}] = [\n{body}];\n",
        numbers.len()
    );
    fs::write(path, text)?;
    Ok(())
}

fn entry(field: &FieldDescriptorProto, kind: &str) -> String {
    format!(
        "Field {{ number: {}, name: {:?}, json: {:?}, repeated: {}, kind: {kind} }}",
        field.number(),
        field.name(),
        field.json_name(),
        field.label() == Label::Repeated
    )
}

fn collect<'a>(
    scope: &str,
    message: &'a DescriptorProto,
    messages: &mut BTreeMap<String, &'a DescriptorProto>,
) {
    let name = format!("{scope}.{}", message.name());
    for nested in &message.nested_type {
        collect(&name, nested, messages);
    }
    messages.insert(name, message);
}
