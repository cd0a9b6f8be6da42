/** What Windows' storage port driver puts under the all-zero section GUID; inferred from records, no definition is public. */
import { blob, bytes, guid, hex, initially, orZero, type Parsed, ref, type SectionType, sequence, text, u16, u32 } from "../../layout/index.ts";

export const StorPortPacket = sequence("StorPort Error", "inferred from records", () => ({
  signature: initially(text(8, "STORPORT"), "STORPORT"),
  version: initially(u16("Version: 1"), 1),
  length: u16("Bytes of the packet"),
  extraLength: u16("Bytes of the miniport driver's data"),
  unknown14: orZero(u16("Not known; 3 in records")),
  unknown16: orZero(u16("Not known; 1 in records")),
  unknown18: orZero(u16("Not known; 5 in records")),
  unknown20: orZero(hex(u32("Not known; 0x11 in records"))),
  volume: orZero(guid("Seems to identify the volume or adapter")),
  driverName: orZero(bytes(32, "Name of the miniport driver, UTF-16")),
  vendor: orZero(text(9, "Vendor of the device")),
  product: orZero(text(17, "Product")),
  extra: blob("The miniport driver's data, beginning with its length twice", ref("extraLength")),
}));
export type StorPortPacket = Parsed<typeof StorPortPacket>;

/** UTF-16 little-endian up to its first NUL. */
export function utf16Text(input: Uint8Array): string {
  let out = "";
  for (let i = 0; i + 1 < input.length; i += 2) {
    const code = input[i]! | (input[i + 1]! << 8);
    if (code === 0) break;
    out += String.fromCharCode(code);
  }
  return out;
}

const isStorPort = (body: StorPortPacket) => body.signature === "STORPORT";

export const storPort: SectionType = {
  guids: ["00000000-0000-0000-0000-000000000000"],
  name: "storPort",
  title: "Device driver error",
  layout: StorPortPacket,
  secondHand: "inferred from records; no definition is public",
  summary: (body: StorPortPacket) =>
    isStorPort(body)
      ? [
          body.driverName ? `driver ${utf16Text(body.driverName)}` : "",
          body.vendor || body.product ? `device ${[body.vendor, body.product].map((part) => part?.trim()).join(" ")}` : "",
        ]
          .filter((part) => part !== "")
          .join(", ")
      : "",
  explain: (body: StorPortPacket) =>
    isStorPort(body) && body.driverName ? [{ label: "driver", text: utf16Text(body.driverName) }] : [{ label: "driver", text: "none that is known" }],
};
