/** Bytes that nothing is known about. */
import { bytesToHex, EncodeError, type Format, hexBytes, hexToBytes } from "../layout/index.ts";

/** Bytes shown to people before the rest is only counted. */
const SHOWN = 64;

export const rawFormat: Format<Uint8Array> = {
  name: "raw",
  title: "bytes of no known format",
  recognise: () => false,
  parse: (input, findings) => {
    findings.push({ path: "raw", offset: 0, message: input.length === 0 ? "there are no bytes" : "no known format: the bytes are kept as they are" });
    return input.slice();
  },
  encode: (value) => value,
  toJson: (value) => ({ bytes: bytesToHex(value) }),
  fromJson: ({ bytes }) => {
    const value = typeof bytes === "string" ? hexToBytes(bytes) : undefined;
    if (!value) throw new EncodeError("bytes", bytes === undefined ? "missing" : "is not a string of hex digits, two for each byte");
    return value;
  },
  schema: () => ({ type: "object", required: ["bytes"], additionalProperties: false, properties: { bytes: hexBytes() } }),
  spans: (value) => (value.length > 0 ? [{ path: "bytes", offset: 0, size: value.length, node: undefined, value }] : []),
  summary: (value) => (value.length === 0 ? "Nothing: no bytes" : `${value.length} bytes of no known format`),
  tree: (value) => [{ label: "bytes", text: `${bytesToHex(value.subarray(0, SHOWN))}${value.length > SHOWN ? "…" : ""}` }],
};
