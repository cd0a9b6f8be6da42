/** How sections speak: the pieces their summaries and explanations are made of. */
import { type BitMember, type BitsNode, fieldLabel, hexNumber, isVouched, type Root, type StructNode, type Tree, valueLabel } from "../../layout/index.ts";

/** Join what there is to say. */
export const phrase = (...parts: readonly (string | undefined | false)[]): string => parts.filter((part) => part).join(", ");

/** Join alternatives or companions: "a", "a and b", "a, b and c". */
export const listed = (items: readonly string[], word = "and"): string =>
  items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} ${word} ${items.at(-1)}`;

/** `value` in words when the validation bit of its name vouches for it. */
export function known<T>(
  body: { readonly validation?: object | undefined },
  name: string,
  value: T | undefined,
  words: (value: T) => string,
): string | undefined {
  return value !== undefined && (body.validation as Record<string, unknown> | undefined)?.[name] === true ? words(value) : undefined;
}

const digits = (value: number, width: number) => value.toString(16).padStart(width, "0");
/** A PCI address the way Linux and lspci write it: `0000:03:00.0`. */
export const pciAddress = (at: { segment?: number; bus?: number; device?: number; function?: number }): string =>
  `${digits(at.segment ?? 0, 4)}:${digits(at.bus ?? 0, 2)}:${digits(at.device ?? 0, 2)}.${(at.function ?? 0).toString(16)}`;
/** The same from a 16-bit requester id. */
export const requesterAddress = (id: number, segment?: number): string => {
  const address = pciAddress({ segment: segment ?? 0, bus: id >> 8, device: (id >> 3) & 31, function: id & 7 });
  return segment === undefined ? address.slice(5) : address;
};
/** `vendor:device` as lspci writes it. */
export const pciIds = (id: { vendorId?: number; deviceId?: number }): string => `${digits(id.vendorId ?? 0, 4)}:${digits(id.deviceId ?? 0, 4)}`;

/** The words for the single bits that are set; bits no name is known for are given in hex. */
export function flagWords(value: object | undefined, except: object = {}): string[] {
  const out: string[] = [];
  for (const [name, set] of Object.entries(value ?? {})) {
    if (name === "rest") out.push(`unknown bits ${hexNumber(set as bigint)}`);
    else if (set === true && (except as Record<string, unknown>)[name] !== true) out.push(fieldLabel(name));
  }
  return out;
}

const memberText = (member: BitMember, value: unknown): string => {
  if (typeof member === "number") return value === true ? "yes" : "no";
  if (typeof member === "object" && "names" in member) return valueLabel(member.names, (value ?? 0) as string | number);
  return String(value ?? 0);
};

/**
 * The members of a structure's bit fields, one line each, by the validation bit of the same name: lines
 * without one, or set though not vouched for, say so.
 */
export function memberTrees(layout: { readonly kind: "struct" }, value: object): Tree[] {
  const node = layout as StructNode;
  const values = value as Record<string, Record<string, unknown> | undefined>;
  const validation = node.fields["validation"] as BitsNode | undefined;
  const out: Tree[] = [];
  for (const [name, field] of Object.entries(node.fields)) {
    const given = values[name];
    if (name === "validation" || field.kind !== "bits" || given === undefined) continue;
    for (const [memberName, member] of Object.entries(field.members)) {
      const vouched =
        validation && Object.hasOwn(validation.members, memberName) ? values["validation"]?.[memberName] === true : isVouched(node as Root, values, name);
      const item = given[memberName];
      const blank = item === undefined || item === false || item === 0 || (typeof member === "object" && "names" in member && valueIsZero(member.names, item));
      if (vouched === false && blank) continue;
      out.push({ label: fieldLabel(memberName), text: memberText(member, item), ...(vouched === false && { note: "present, but not marked valid" }) });
    }
    if (given["rest"] !== undefined) out.push({ label: "unknown bits", text: hexNumber(given["rest"] as bigint) });
  }
  return out;
}
const valueIsZero = (names: Readonly<Record<string, number | readonly [number, string]>>, value: unknown): boolean => {
  const entry = typeof value === "string" ? names[value] : undefined;
  return entry !== undefined && (typeof entry === "number" ? entry : entry[0]) === 0;
};

/** Values of the single bits and ranges of one structure that its validation bits vouch for, in one line. */
export const memberPhrase = (layout: { readonly kind: "struct" }, value: object): string =>
  phrase(
    ...memberTrees(layout, value)
      .filter((tree) => tree.note === undefined && tree.text !== "no")
      .map((tree) => (tree.text === "yes" ? tree.label : tree.label.startsWith("unknown") ? undefined : `${tree.label} ${tree.text}`)),
  );
