import { describe, expect, test } from "vitest";
import { sectionTypes } from "../../src/cper/registry.ts";
import { AmiFirmwareHealth } from "../../src/cper/sections/ami-health.ts";
import { MuTelemetry } from "../../src/cper/sections/project-mu.ts";
import { StorPortPacket } from "../../src/cper/sections/storport.ts";
import { WheaArmRasNode, WheaSea, WheaSei } from "../../src/cper/sections/whea-arm.ts";
import { WheaMachineCheck } from "../../src/cper/sections/whea-machine-check.ts";
import {
  WheaMemoryAmd,
  WheaMemoryCorrectableSummary,
  WheaMemoryIntel,
  WheaMemoryRange,
  WheaPersistentMemory,
  WheaPlatformExtendedRas,
} from "../../src/cper/sections/whea-memory.ts";
import { WheaIpfSal, WheaMsrDump, WheaNmi } from "../../src/cper/sections/whea-packet.ts";
import { WheaDpcCapability, WheaPcieCorrectableSummary, WheaPciRecovery } from "../../src/cper/sections/whea-pcie.ts";
import { WheaRecovery, WheaRecoveryPrerelease } from "../../src/cper/sections/whea-recovery.ts";
import { spans } from "../../src/layout/index.ts";
import { hex } from "../support/hex.ts";
import { lawsOf } from "../support/laws.ts";
import { read } from "../support/sections.ts";

lawsOf(
  [
    ["machine check", WheaMachineCheck],
    ["recovery", WheaRecovery],
    ["recovery before its release", WheaRecoveryPrerelease],
    ["memory, Intel", WheaMemoryIntel],
    ["memory, AMD", WheaMemoryAmd],
    ["memory correctable summary", WheaMemoryCorrectableSummary],
    ["persistent memory", WheaPersistentMemory],
    ["memory range", WheaMemoryRange],
    ["platform extended RAS", WheaPlatformExtendedRas],
    ["DPC capability", WheaDpcCapability],
    ["PCIe correctable summary", WheaPcieCorrectableSummary],
    ["PCI recovery", WheaPciRecovery],
    ["SEA", WheaSea],
    ["SEI", WheaSei],
    ["Arm RAS node", WheaArmRasNode],
    ["NMI", WheaNmi],
    ["MSR dump", WheaMsrDump],
    ["IPF SAL record", WheaIpfSal],
    ["Mu telemetry", MuTelemetry],
    ["StorPort", StorPortPacket],
    ["AMI firmware health", AmiFirmwareHealth],
  ],
  { runs: 8 },
);

const offsetsOf = (layout: { readonly kind: "struct" | "sequence" }) => Object.fromEntries(spans(layout).map(({ path, offset }) => [path, offset]));

describe("sizes and offsets of the WDK", () => {
  // Sizes by the compiler, from the headers' structures.
  test.each([
    [WheaRecovery, 39],
    [WheaRecoveryPrerelease, 38],
    [WheaNmi, 12],
    [WheaDpcCapability, 68],
    [MuTelemetry, 56],
    [WheaSea, 21],
    [WheaSei, 12],
    [WheaPciRecovery, 3],
    [WheaArmRasNode, 80],
    [WheaMemoryIntel, 166],
    [WheaMemoryAmd, 133],
  ])("%#", (layout, size) => expect(layout.size).toBe(size));

  test("fields lie where the headers put them", () => {
    expect(offsetsOf(WheaRecovery)).toMatchObject({ action: 1, type: 9, irql: 13, succeeded: 14, failureReason: 15, processName: 19 });
    expect(offsetsOf(WheaRecoveryPrerelease)).toMatchObject({ succeeded: 13, failureReason: 14, processName: 18 });
    expect(offsetsOf(WheaDpcCapability)).toMatchObject({
      capability: 4,
      status: 8,
      sourceId: 10,
      rootPortPioStatus: 12,
      "headerLog[0]": 32,
      implementationLog: 48,
      "tlpPrefixLog[0]": 52,
    });
    expect(offsetsOf(WheaMemoryIntel)).toMatchObject({
      validation: 8,
      memoryKind: 16,
      systemAddress: 20,
      rankAddress: 52,
      processorSocketId: 60,
      bankGroup: 70,
      row: 71,
      column: 75,
      lockstepRank: 79,
      chipId: 85,
      reserved: 86,
      reservedAfter: 126,
    });
    expect(offsetsOf(WheaMemoryAmd)).toMatchObject({
      systemAddress: 16,
      instanceId: 32,
      socketId: 40,
      bankAddress: 43,
      row: 44,
      column: 48,
      rankMultiplier: 50,
      channel: 52,
      reserved: 53,
      reservedAfter: 93,
    });
    expect(offsetsOf(WheaArmRasNode)).toMatchObject({ nodeIndex: 4, interfaceType: 8, nodeType: 9, frRegister: 16, statusRegister: 32, misc3Register: 72 });
    expect(offsetsOf(MuTelemetry)).toMatchObject({ subComponentId: 16, statusCode: 36, additionalInfo1: 40, additionalInfo2: 48 });
  });
});

describe("the forms of a machine check by version and length", () => {
  const body = (version: number, length: number) => {
    const bytes = new Uint8Array(length);
    bytes[0] = version;
    return bytes;
  };
  test.each([
    [1, 264],
    [2, 264],
    [2, 272],
    [3, 289],
    [3, 292],
    [4, 1192],
    [5, 2088],
  ])("version %i, %i bytes: nothing is odd", (version, length) => {
    const { value } = read("wheaMachineCheck", body(version, length));
    expect("trailing" in value).toBe(false);
    if (length > 264) expect(value["extension"]).toMatchObject({ capability: 0n });
  });
  test("a version that is not known keeps its bytes", () => {
    expect(read("wheaMachineCheck", body(9, 300)).value["extension"]).toEqual(new Uint8Array(36));
  });
  test("version 4 holds further banks", () => {
    const bytes = body(4, 1192);
    const view = new DataView(bytes.buffer);
    view.setUint32(4, 1, true); // Intel
    view.setBigUint64(40, 1n << 63n, true);
    view.setUint32(292, 1, true); // one more bank
    view.setUint32(296, 7, true);
    view.setBigUint64(296 + 4 * 32, 0x8c00004000010092n, true);
    view.setBigUint64(296 + 12 * 32, 0x6b3e7c00n, true);
    view.setBigUint64(296 + 20 * 32, 0x86n, true);
    expect(read("wheaMachineCheck", bytes).lines).toContain("further bank 7: corrected, memory controller error, read, channel 2, physical address 0x6b3e7c00");
  });
  test("reasons why there was no recovery", () => {
    const bytes = body(3, 292);
    bytes[272] = 1 << 2; // context corrupt
    bytes[276] = 1; // attempted
    bytes[280] = 1; // action required
    bytes[282] = 1; // kernel
    expect(read("wheaMachineCheck", bytes).value["extension"]).toMatchObject({
      failure: { contextCorrupt: true },
      action: { attempted: true },
      actionRequired: "yes",
      succeeded: "no",
      kernel: "yes",
    });
  });
});

describe("golden bodies", () => {
  test("recovery: a process was ended", () => {
    const { value, summary } = read(
      "wheaRecovery",
      hex`
      00                      # not in kernel mode
      0a 00 00 00 00 00 00 00 # terminate process, mark page bad
      01 00 00 00             # action required
      00                      # IRQL 0
      01                      # succeeded
      00 00 00 00             # no failure
      74 65 73 74 2e 65 78 65 00 00 00 00 00 00 00 00 00 00 00 00 # test.exe
    `,
    );
    expect(value).toMatchObject({ action: { terminateProcess: true, markPageBad: true }, type: "actionRequired", irql: 0, succeeded: "yes" });
    expect(summary).toBe("action required, process terminated, page marked bad, recovery succeeded, process test.exe");
  });

  test("the length tells the forms of the recovery apart", () => {
    const guid = "c34832a1-02c3-4c52-a9f1-9f1d5d7723fc";
    expect(sectionTypes.byGuid(guid, 38)?.name).toBe("wheaRecoveryPrerelease");
    expect(sectionTypes.byGuid(guid, 39)?.name).toBe("wheaRecovery");
    expect(sectionTypes.byGuid(guid, 20)?.name).toBe("wheaRecovery");
  });

  test("DPC: triggered by software", () => {
    const bytes = new Uint8Array(68);
    bytes.set(hex`1d 00 01 00  e2 14  0b 00  2f 1f  08 00`); // id 0x1d, version 1; capability; control; status 0x1f2f; source 00:01.0
    const { value, summary } = read("wheaDpcCapability", bytes);
    expect(value["header"]).toMatchObject({ id: 0x1d, version: 1 });
    expect(value["status"]).toMatchObject({
      triggered: true,
      triggerReason: "extended",
      triggerReasonExtension: "softwareTrigger",
      interrupt: true,
      firstErrorPointer: 31,
    });
    expect(value["capability"]).toMatchObject({
      interruptMessage: 2,
      rootPortExtensions: true,
      poisonedTlpEgressBlocking: true,
      softwareTriggering: true,
      rootPortPioLogSize: 4,
      dlActiveErrorCorrectable: true,
    });
    expect(summary).toBe("triggered: software trigger");
  });

  test("PCIe correctable summary", () => {
    const bytes = new Uint8Array(4 + 156);
    bytes.set(hex`
      01 00 01 00             # version 1, one device
      3f 00 00 00 00 00 00 00 # all valid
      00 00 00 00 17 00 00 00 02 00 00 00 01 00 00 00 # 0000:17:02.1
      00 20 00 00             # mask: advisory non-fatal
      05 00 00 00             # 5 of bit 0: receiver error
    `);
    bytes[4 + 28 + 4 * 6] = 2; // 2 of bit 6: bad TLP
    expect(read("wheaPcieCorrectableSummary", bytes).summary).toBe("0000:17:02.1 5 receiver error and 2 bad tlp");
  });

  test("memory correctable summary", () => {
    const bytes = hex`
      01 00 01 00             # version 1, one module
      0f 00 00 00 00 00 00 00 # all valid
      01 00 00 00 02 00 00 00 03 00 00 00 2a 00 00 00
    `;
    expect(read("wheaMemoryCorrectableSummary", bytes).summary).toBe("1 memory module, socket 1 channel 2 slot 3 corrected errors 42");
  });

  test("persistent memory", () => {
    const bytes = new Uint8Array(88 + 24);
    bytes.set(hex`07 00 00 00 00 00 00 00  53 4c 4f 54 31`); // all valid, "SLOT1"
    bytes.set(hex`00 04 00 00 00 00 00 00  10 00 00 00  01 00 00 00  45 23 01 00 00 00 00 00  02 00 00 00 00 00 00 00  03 00 00 00 00 00 00 00`, 72);
    const { value, summary } = read("wheaPersistentMemory", bytes);
    expect(value["errorStatus"]).toMatchObject({ type: "memory" });
    expect(value["pageRanges"]).toEqual([{ startingPage: 0x12345n, pageCount: 2n, markedBad: 3n }]);
    expect(summary).toBe("'SLOT1', NFIT handle 0x10, 1 page range, first page 0x12345");
  });

  test("memory range", () => {
    const bytes = new Uint8Array(88 + 16);
    bytes.set(hex`1f 00 00 00 00 00 00 00  01 00 00 00  98 1d 93 0d 01 02 03 04 05 06 07`);
    bytes.set(hex`00 00 01 00  00 00 00 00 01 00 00 00  00 10 00 00 00 00 00 00`, 84);
    const { value, summary } = read("wheaMemoryRange", bytes);
    expect(value["deviceInfo"]).toMatchObject({
      vendorId: 0x1d98,
      deviceId: 0x0d93,
      functionNumber: 1,
      deviceNumber: 2,
      busNumber: 3,
      segmentNumber: 0x0504,
      slotNumber: 0x0706,
    });
    expect(summary).toBe("1 range, 0x100000000 + 0x1000");
  });

  test("memory extension for Intel", () => {
    const bytes = new Uint8Array(166);
    bytes.set(hex`01 00 00 00 00 00 00 00  43 00 06 00 00 00 00 00`); // firmware translated; kind, system address, socket, row, column
    bytes.set(hex`02 00 00 00  00 50 34 12 00 00 00 00`, 16);
    bytes[60] = 1;
    bytes.set(hex`22 11 00 00 33 03 00 00`, 71);
    expect(read("wheaMemoryIntel", bytes).summary).toBe("address translated, physical address 0x12345000, socket 1, row 4386, column 819");
  });

  test("memory extension for AMD", () => {
    const bytes = new Uint8Array(133);
    bytes.set(hex`02 00 00 00 00 00 00 00  99 08 00 00 00 00 00 00  00 50 34 12 00 00 00 00`); // translation failed; address, socket, chip select, row, channel
    bytes.set(hex`01 03 00 00  22 11 00 00  00 00 00 00  05`, 40);
    expect(read("wheaMemoryAmd", bytes).summary).toBe("address not translated, physical address 0x12345000, socket 1, channel 5, chip select 3, row 4386");
  });

  test("SEA: data abort, recoverable", () => {
    // EC 0x25 in bits 31:26, IL 25, DFSC 0x10.
    const { value, summary } = read("wheaSea", hex`10 00 00 96  00 10 fe ca 00 80 ff ff  00 00 00 00 00 00 00 00  01`);
    expect(value["esr"]).toMatchObject({
      exceptionClass: "dataAbortSame",
      faultStatus: "externalAbort",
      synchronousErrorType: "recoverable",
      instructionLength32: true,
    });
    expect(summary).toBe("data abort from the same exception level, external abort, recoverable, virtual address 0xffff8000cafe1000, in kernel mode");
  });

  test("SEI: unrecoverable", () => {
    // EC 0x2f, IL, AET 1, DFSC 0x11.
    expect(read("wheaSei", hex`11 04 00 be  00 00 00 00 00 00 00 00`).summary).toBe("unrecoverable");
  });

  test("Arm RAS node", () => {
    const bytes = new Uint8Array(80);
    bytes.set(hex`08 00 00 00  02 00 00 00  00 00`);
    bytes.set(hex`02 00 00 e4 00 00 00 00  00 40 00 00 00 00 00 00`, 32); // valid, address valid, uncorrected, misc valid, SERR 2
    expect(read("wheaArmRasNode", bytes).summary).toBe("node 2, processor, uncorrected, data value from internal memory, address 0x4000");
  });

  test("PCI recovery", () => {
    expect(read("wheaPciRecovery", hex`02 01 04`).summary).toBe("DPC, recovery attempted, root port busy timeout");
  });

  test("NMI and MSR dump", () => {
    expect(read("wheaNmi", hex`a0 00 00 00 00 00 00 00  01 00 00 00`).summary).toBe("status port 0xa0, hypervisor error");
    expect(read("wheaMsrDump", hex`01 04 00 00 00 de ad be ef`).summary).toBe("buffer 1, 4 bytes");
  });

  test("Mu telemetry", () => {
    const bytes = new Uint8Array(56);
    bytes.set(hex`05 10 03 03`, 36); // software class, subclass 3, operation 0x1005
    bytes[40] = 0x21;
    expect(read("muTelemetry", bytes).summary).toBe("software status code, subclass 0x3, operation 0x1005, information 0x21");
  });

  test("platform extended RAS", () => {
    expect(read("wheaPlatformExtendedRas", hex`01 00 00 00  02 00 00 00  03 00 00 00 00 00 00 00  0a 0b 0c`).summary).toBe(
      "DIMM location 0x2, 3 bytes of data",
    );
  });
});

describe("sections that hold others", () => {
  const entry = (revision: readonly [number, number], headerSize: number) => {
    const bytes = new Uint8Array(headerSize + 80);
    bytes.set(hex`14 11 bc a5 64 6f de 4e b8 63 3e 83 ed 7c 83 b1  02 00 00 00`);
    bytes.set(revision, 20);
    bytes[24] = 80;
    bytes.set(hex`02 40 00 00 00 00 00 00  00 00 00 00 00 00 00 00  00 50 34 12`, headerSize); // physical address and type valid
    bytes[headerSize + 72] = 2; // single-bit ECC
    return bytes;
  };
  const block = (...entries: Uint8Array[]) => {
    const length = entries.reduce((sum, one) => sum + one.length, 0);
    const bytes = new Uint8Array(20 + length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, 2 | (entries.length << 4), true);
    view.setUint32(12, length, true);
    view.setUint32(16, 2, true);
    let at = 20;
    for (const one of entries) {
      bytes.set(one, at);
      at += one.length;
    }
    return bytes;
  };

  test("generic: entry headers of 64 and 72 bytes", () => {
    const { value, summary } = read("wheaGeneric", block(entry([0x01, 0x02], 64), entry([0x00, 0x03], 72)));
    expect(value["entries"]).toMatchObject([{ revision: 0x0201 }, { revision: 0x0300, revision3: { timestamp: "none" } }]);
    expect(summary).toMatch(/^Platform memory error.*0x12345000.*; Platform memory error.*0x12345000/);
  });

  test("packet version 2 with a machine check of 289 bytes", () => {
    const bytes = new Uint8Array(80 + 289);
    const view = new DataView(bytes.buffer);
    bytes.set(hex`57 48 45 41  03 00 00 00`); // "WHEA", version 3
    view.setUint32(8, bytes.length, true);
    view.setUint32(20, 2, true); // corrected
    view.setUint32(28, 1, true); // corrected machine check
    view.setUint32(56, 1, true); // XPF MCA
    view.setUint32(64, 80, true);
    view.setUint32(68, 289, true);
    bytes[80] = 3;
    view.setUint32(80 + 4, 1, true);
    view.setUint32(80 + 36, 7, true);
    view.setBigUint64(80 + 40, 0x8c00004000010092n, true);
    const { summary } = read("wheaErrorPacket", bytes);
    expect(summary).toBe(
      "processor error, corrected, from corrected machine check, bank 7, corrected, memory controller error, read, channel 2, segment offset 0x0, processor 0",
    );
  });

  test("packet of Vista", () => {
    const bytes = new Uint8Array(280 + 4);
    const view = new DataView(bytes.buffer);
    bytes.set(hex`45 72 50 74`); // "ErPt"
    view.setUint32(8, bytes.length, true);
    view.setUint32(12, 4, true);
    view.setUint32(32, 1, true); // memory
    view.setUint32(36, 1, true); // fatal
    view.setUint32(44, 5, true); // generic
    view.setUint32(52, 2, true);
    view.setUint32(272, 3, true); // AMD64 MCA
    view.setUint32(276, 280, true);
    bytes.set([1, 2, 3, 4], 280);
    const { value, summary } = read("wheaErrorPacket", bytes);
    expect(value["packet"]).toMatchObject({ version: 2, rawDataFormat: "amd64MachineCheck", rawData: Uint8Array.of(1, 2, 3, 4) });
    expect(summary).toBe("memory error, fatal, from generic");
  });
});
