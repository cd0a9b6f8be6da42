/** The CXL early discovery table: host bridges and memory windows, whose errors reach the system through error sources. */
import { bits, blob, choice, hex, list, oneOf, type Parsed, ref, reserved, sequence, struct, u8, u16, u32, u64, window } from "../layout/index.ts";
import { TableHeader } from "./table-header.ts";

const SOURCE = "CXL 3.1 9.18.1";

/** Bytes of registers a host bridge has, by its version. */
export const HOST_BRIDGE_LENGTH = { restrictedHost: 0x2000n, host: 0x10000n } as const;
const HostBridge = struct("CXL Host Bridge Structure", 28, SOURCE, () => ({
  uid: hex(u32("Unique id of the host bridge")),
  cxlVersion: oneOf(4, "CXL version", { restrictedHost: [0, "CXL 1.1 restricted host"], host: [1, "CXL 2.0 host bridge"] }),
  reserved: reserved(4),
  base: u64("Address of its registers"),
  length: u64("Bytes of its registers"),
}));
const FixedMemoryWindow = sequence("CXL Fixed Memory Window Structure", SOURCE, () => ({
  reserved: reserved(4),
  baseHpa: u64("Host physical address of the window"),
  windowSize: u64("Bytes of the window"),
  interleaveWays: u8("Encoded number of interleave ways"),
  interleaveArithmetic: oneOf(1, "How targets are chosen", { modulo: 0, xor: [1, "modulo and XOR"] }),
  reservedAfterArithmetic: reserved(2),
  interleaveGranularity: u32("Encoded interleave granularity"),
  windowRestrictions: bits(2, "What the window may be used for", { allowed: [0, 6] }),
  qtgId: u16("Quality of service throttling group"),
  targets: blob("Interleave targets, 4 bytes each"),
}));
const XorInterleaveMath = sequence("CXL XOR Interleave Math Structure", SOURCE, () => ({
  reserved: reserved(2),
  interleaveGranularity: u8("Encoded interleave granularity"),
  bitmapCount: u8("Number of bitmaps"),
  bitmaps: blob("Bitmaps, 8 bytes each"),
}));
const DownstreamPortAssociation = sequence("RCEC Downstream Port Association Structure", SOURCE, () => ({
  segment: u16("PCI segment of the event collector"),
  bdf: hex(u16("Bus, device and function of the event collector")),
  protocol: oneOf(1, "Protocol of the port", { io: [0, "CXL.io"], cachemem: [1, "CXL.cachemem"] }),
  base: blob("Base address; some templates leave it a byte short"),
}));
const SystemDescription = struct("CXL System Description Structure", 4, SOURCE, () => ({
  systemCapabilities: bits(2, "What the system supports", { defined: [0, 6] }),
  reserved: reserved(2),
}));

const HEADER_SIZE = 4;
const CedtStructure = sequence("CEDT Structure", SOURCE, () => ({
  type: oneOf(1, "Kind of structure", {
    hostBridge: 0,
    fixedMemoryWindow: 1,
    xorInterleaveMath: 2,
    downstreamPortAssociation: 3,
    systemDescription: 4,
  }),
  reserved: reserved(1),
  recordLength: u16("Bytes of this structure"),
  content: window(
    ref("recordLength", { bias: -HEADER_SIZE }),
    choice(ref("type"), "By type", {
      hostBridge: HostBridge,
      fixedMemoryWindow: FixedMemoryWindow,
      xorInterleaveMath: XorInterleaveMath,
      downstreamPortAssociation: DownstreamPortAssociation,
      systemDescription: SystemDescription,
    }),
  ),
}));

export const Cedt = sequence("CXL Early Discovery Table", SOURCE, () => ({
  header: TableHeader,
  structures: window(ref("header.length", { bias: -TableHeader.size }), list(CedtStructure, "Structures")),
}));
export type Cedt = Parsed<typeof Cedt>;
