/** What sections say, against what the Linux kernel said of the same bytes, and against the specifications. */
import { describe, expect, test } from "vitest";
import { parseErrorStatusBlock } from "../../src/acpi/status-block.ts";
import { sectionTypes } from "../../src/cper/registry.ts";
import { ArmCacheError, armErrorInformation, armErrorInformationWord, armErrorKinds, armErrorType } from "../../src/cper/sections/arm-processor.ts";
import { msrName } from "../../src/cper/sections/processor-id.ts";
import { tlpTrees } from "../../src/cper/sections/tlp.ts";
import { completed, decode, encode, fieldTrees, type Parsed, parse, type SectionType, treeLines } from "../../src/layout/index.ts";
import { hex } from "../support/hex.ts";
import { describeShared, shared } from "../support/shared.ts";

const typeOf = (name: string): SectionType => sectionTypes.byName(name)!;
const read = (name: string, bytes: Uint8Array): Parsed<never> => parse(typeOf(name).layout, bytes, 0, bytes.length, { findings: [] }) as never;
const summary = (name: string, bytes: Uint8Array): string => typeOf(name).summary!(read(name, bytes) as never);
const lines = (name: string, bytes: Uint8Array): string =>
  typeOf(name).explain!(read(name, bytes) as never)
    .flatMap((tree) => treeLines(tree))
    .join("\n");

describeShared("sections with Linux's own decode", () => {
  test("two ARM errors of TLB and bus kind", () => {
    const bytes = shared("corpus/linux-sections/qemu-arm-tlb-bus.bin");
    // error_type 0x04: TLB error, error_info 0x54007f: instruction fetch, level 1, PC imprecise.
    expect(lines("armProcessor", bytes)).toContain(
      [
        "  TLB error: by UEFI 2.10 and Linux",
        "    transaction type: instruction",
        "    operation: instruction fetch",
        "    level: 1",
        "    processor context corrupt: no",
        "    corrected: no",
        "    precise PC: no",
        "    restartable PC: no",
        "  bus error: by UEFI 2.11",
      ].join("\n"),
    );
    // error_type 0x18: bus error|micro-architectural error, num errors 2.
    expect(lines("armProcessor", bytes)).toContain("error 1, type 0x18: read as\n  bus and micro-architectural error: by UEFI 2.10 and Linux");
    // The field is 2; Linux says "num errors: 3", the specification "0 single, 1 multiple, otherwise the count".
    expect(summary("armProcessor", bytes)).toContain("TLB error by UEFI 2.10 and Linux or bus error by UEFI 2.11, 2 times");
    expect(summary("armProcessor", bytes)).toContain("not running, PSCI state 0x0");
  });

  test("a cache error in an error status block", () => {
    const block = parseErrorStatusBlock(shared("corpus/ghes-blocks/qemu-arm-cache-error.gesb.bin"), sectionTypes);
    const body = block.entries[0]!.body!.value as never;
    const type = typeOf("armProcessor");
    expect(type.summary!(body)).toBe(
      "cache error by UEFI 2.10 and Linux, TLB error by UEFI 2.11 or bus error by UEFI 2.9 and before, physical address 0xdeadbeef, processor 0.0.0.0, not running, PSCI state 0x0",
    );
    expect(type.explain!(body).flatMap((tree) => treeLines(tree))).toEqual(
      expect.arrayContaining(["    transaction type: data", "    operation: data write", "    level: 2", "    processor context corrupt: no"]),
    );
  });

  test("a CXL general media event", () => {
    const bytes = shared("corpus/linux-sections/cxl-general-media.bin");
    const { event, deviceId, serialNumber } = read("cxlGeneralMedia", bytes) as unknown as {
      event: { header: { timestamp: bigint }; [name: string]: unknown };
      deviceId: object;
      serialNumber: bigint;
    };
    expect(event).toMatchObject({
      physicalAddress: 0x7d0n,
      descriptor: { uncorrectable: true, thresholdEvent: true, poisonListOverflow: true },
      eventType: "teStateViolation",
      transactionType: 0xc0,
      validation: { channel: true, rank: true, device: true, componentId: true },
      channel: 3,
      rank: 33,
      device: 5,
    });
    expect(event.header.timestamp).toBe(1707903675590441508n);
    expect(deviceId).toMatchObject({ vendorId: 0x8086, deviceId: 0x0d93, bus: 0x0e });
    expect(serialNumber).toBe(5n);
    expect(summary("cxlGeneralMedia", bytes)).toContain("device physical address 0x7c0");
    expect(summary("cxlGeneralMedia", bytes)).toContain("channel 3, rank 33");
    expect(summary("cxlGeneralMedia", bytes)).toContain("device 0000:0e:00.0 (8086:0d93), serial number 0x5");
    expect(lines("cxlGeneralMedia", bytes)).toBe("event time: 2024-02-14T09:41:15.590Z");
  });
});

/** An EPYC's fatal cache error: the bytes behind the values Linux printed for it. */
const EPYC = hex`
  07 01 00 00 00 00 00 00   # validation: APIC id, CPUID, 1 error, 1 context
  3c 00 00 00 00 00 00 00   # local APIC id
  11 0f a0 00 00 00 00 00   # CPUID EAX
  00 08 40 3c 00 00 00 00   # EBX
  0b 32 fa 76 00 00 00 00   # ECX
  ff fb 8b 17 00 00 00 00   # EDX
  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
  f5 01 57 a5 ef e3 de 43 ac 72 24 9b 57 3f ad 2c   # cache check
  01 00 00 00 00 00 00 00   # check information is valid
  ff 00 02 06 00 00 00 00   # generic transaction, generic error, level 0, corrupt, uncorrected
  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
  01 00 20 00 30 20 00 c0   # MSRs, 32 bytes, from c0002030
  00 00 00 00 00 00 00 00
  00 00 00 00 00 00 00 00   # MCA_CTL of bank 3
  08 01 09 00 00 00 a0 b2   # MCA_STATUS
  00 00 00 00 00 00 00 00   # MCA_ADDR
  00 00 00 00 00 00 10 d0   # MCA_MISC0
`;

describe("IA32/X64", () => {
  test("check information, CPUID and MSRs in words", () => {
    expect(summary("ia32x64Processor", EPYC)).toBe(
      "local APIC id 0x3c, cache error (transaction type generic, operation generic error, level 0, processor context corrupt, uncorrected)",
    );
    expect(lines("ia32x64Processor", EPYC)).toBe(
      [
        "processor: family 0x19, model 0x1, stepping 1",
        "error 0: cache error",
        "  transaction type: generic",
        "  operation: generic error",
        "  level: 0",
        "  processor context corrupt: yes",
        "  uncorrected: yes",
        "  precise IP: no",
        "  restartable IP: no",
        "  overflow: no",
        "context 0: MSR registers",
        "  MSR 0xc0002030: 0x0 (MCA_CTL of bank 3)",
        "  MSR 0xc0002031: 0xb2a0000000090108 (MCA_STATUS of bank 3)",
        "  MSR 0xc0002032: 0x0 (MCA_ADDR of bank 3)",
        "  MSR 0xc0002033: 0xd010000000000000 (MCA_MISC0 of bank 3)",
      ].join("\n"),
    );
    expect(msrName(0x405)).toBe("IA32_MC1_STATUS");
  });
  test("built from its fields: counts, lengths and validation bits are computed", () => {
    const built = completed(typeOf("ia32x64Processor").layout, {
      localApicId: 0x3cn,
      cpuid: { eax: 0xa00f11n, ebx: 0x3c400800n, ecx: 0x76fa320bn, edx: 0x178bfbffn },
      errorInfos: [
        {
          errorType: "a55701f5-e3ef-43de-ac72-249b573fad2c",
          checkInformation: {
            validation: {
              transactionType: true,
              operation: true,
              level: true,
              processorContextCorrupt: true,
              uncorrected: true,
              preciseIp: true,
              restartableIp: true,
              overflow: true,
            },
            details: { transactionType: "generic", processorContextCorrupt: true, uncorrected: true },
          },
        },
      ],
      contexts: [
        {
          contextType: "msr",
          msrAddress: 0xc0002030,
          registers: { registers: [0n, 0xb2a0000000090108n, 0n, 0xd010000000000000n].map((value) => ({ value })) },
        },
      ],
    });
    expect(encode(typeOf("ia32x64Processor").layout, built as never)).toEqual(EPYC);
  });
});

describe("ARM error types", () => {
  test("one byte, three encodings", () => {
    expect(armErrorKinds(0, "uefi-2.9")).toEqual(["cache"]);
    expect(armErrorKinds(0, "uefi-2.10")).toBeUndefined();
    expect(armErrorKinds(2, "uefi-2.9")).toEqual(["bus"]);
    expect(armErrorKinds(2, "uefi-2.10")).toEqual(["cache"]);
    expect(armErrorKinds(2, "uefi-2.11")).toEqual(["tlb"]);
    expect(armErrorKinds(0x18, "uefi-2.10")).toEqual(["bus", "microArchitectural"]);
    expect(armErrorKinds(0x18, "uefi-2.11")).toBeUndefined();
    expect(armErrorType(["cache"], "uefi-2.9")).toBe(0);
    expect(armErrorType(["cache"], "uefi-2.10")).toBe(2);
    expect(armErrorType(["cache"], "uefi-2.11")).toBe(1);
    expect(armErrorType(["bus", "microArchitectural"], "uefi-2.10")).toBe(0x18);
    expect(() => armErrorType(["cache", "bus"], "uefi-2.9")).toThrow(/exactly one/);
  });
  test("error information both ways", () => {
    const cache = {
      validation: { transactionType: true, operation: true, level: true, processorContextCorrupt: true },
      details: { transactionType: "data", operation: "dataWrite", level: 2 },
    };
    expect(armErrorInformationWord("cache", cache)).toBe(0x91000fn);
    expect(encode(ArmCacheError, armErrorInformation("cache", 0x91000fn) as never)).toEqual(hex`0f 00 91 00 00 00 00 00`);
    expect(armErrorInformation("microArchitectural", 1n)).toBeUndefined();
  });
  test("section length, counts and context sizes are computed", () => {
    const built = completed(typeOf("armProcessor").layout, {
      midr: 0x411fd4f0n,
      errorInfos: [{ errorType: armErrorType(["cache"], "uefi-2.11"), physicalFaultAddress: 0x12345000n }],
      contexts: [
        { contextType: "systemRegisters", registers: { registers: [{ encoding: { op2: 1, crm: 3, crn: 5, op1: 0, o0: 1 }, value: 0x11n }] } },
        { contextType: "aarch32Secure", registers: { sctlr_s: 1, spsr_mon: 2 } },
      ],
      vendorInformation: Uint8Array.of(0xaa, 0xbb),
    });
    const bytes = encode(typeOf("armProcessor").layout, built as never);
    expect(bytes).toEqual(hex`
      08 00 00 00  01 00  02 00  7a 00 00 00  00 00 00 00   # vendor information valid; 1 error, 2 contexts, 122 bytes
      00 00 00 00 00 00 00 00  f0 d4 1f 41 00 00 00 00
      00 00 00 00 00 00 00 00
      00 20 10 00 01 00 00 00  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  00 50 34 12 00 00 00 00
      00 00 08 00 0a 00 00 00  99 42  11 00 00 00 00 00 00 00   # one register, 10 bytes
      00 00 00 00 00 00 00 00 00 00 00 00 00 00                 # padding to 16
      00 00 03 00 08 00 00 00  01 00 00 00 02 00 00 00
      aa bb
    `);
    expect(lines("armProcessor", bytes)).toContain("processor: Arm Neoverse V2 r1p0");
    expect(lines("armProcessor", bytes)).toContain("S3_0_C5_C3_1: 0x11");
  });
  test("contexts without padding are shown in the other reading", () => {
    const padded = encode(
      typeOf("armProcessor").layout,
      completed(typeOf("armProcessor").layout, {
        errorInfos: [{ errorType: 2 }],
        contexts: [
          {
            contextType: "aarch64El3",
            registers: Object.fromEntries("elr esr far mair sctlr sp spsr tcr tpidr ttbr0".split(" ").map((name, i) => [`${name}_el3`, BigInt(i + 1)])),
          },
          { contextType: "aarch32Secure", registers: { sctlr_s: 0x51, spsr_mon: 0x52 } },
        ],
      }) as never,
    );
    const at = 40 + 32 + 8 + 80;
    const unpadded = new Uint8Array([...padded.subarray(0, at), ...padded.subarray(at + 8)]);
    expect(lines("armProcessor", padded)).not.toContain("back to back");
    expect(lines("armProcessor", unpadded)).toContain("contexts read back to back: 2 (as libcper writes them");
    expect(lines("armProcessor", unpadded)).toContain("spsr_mon: 0x52");
  });
});

describe("PCI Express", () => {
  const AER = hex`
    01 00 02 14
    00 40 00 00   # status: completion timeout
    00 00 00 00
    30 20 46 00   # severity: completion timeout is not fatal
    01 20 00 00   # correctable: receiver error, advisory non-fatal
    00 20 00 00   # advisory non-fatal is masked
    0e 00 00 00   # first error pointer 14
    01 00 00 00  0f 05 00 01  00 50 34 12  00 00 00 00   # memory read of 4 bytes by 01:00.0 at 12345000
    00 00 00 00  05 00 00 00  08 00 10 00
    00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
  `;
  const bytes = new Uint8Array(208);
  bytes.set(hex`
    8f 00 00 00 00 00 00 00   # port type, version, command and status, device id, AER
    04 00 00 00  01 06 00 00  47 05 10 00  00 00 00 00
    86 80 30 20  00 04 06  00 02  01 00  17 18  20 00  00
  `);
  bytes.set(AER, 112);
  test("summary: where, and every error with its severity", () => {
    expect(summary("pcie", bytes)).toBe(
      "root port, 0001:17:02.0 (8086:2030), completion timeout (non-fatal), receiver error (corrected), advisory non fatal error (corrected, masked)",
    );
  });
  test("registers in words, the logged packet among them", () => {
    expect(lines("pcie", bytes)).toBe(
      [
        "PCI Express version: 6.1",
        "device: 0001:17:02.0",
        "slot: 4",
        "class: 060400, bridge",
        "advanced error reporting",
        "  error: completion timeout (non-fatal)",
        "  error: receiver error (corrected)",
        "  error: advisory non fatal error (corrected, masked)",
        "  first error: completion timeout",
        "  root port: correctable received, uncorrectable received",
        "  correctable error from: 00:01.0",
        "  uncorrectable error from: 00:02.0",
        "  logged packet",
        "    TLP: memory read (32-bit address)",
        "    traffic class: 0",
        "    length: 4 bytes",
        "    requester: 01:00.0",
        "    tag: 0x5",
        "    address: 0x12345000",
      ].join("\n"),
    );
  });
  test("other packets", () => {
    const said = (...log: number[]) => tlpTrees(log).map(({ label, text }) => `${label}: ${text}`);
    expect(said(0x4a000001, 0x02000004, 0x01000540, 0)).toEqual([
      "TLP: completion with data",
      "traffic class: 0",
      "length: 4 bytes",
      "completer: 02:00.0",
      "completion status: successful completion",
      "requester: 01:00.0",
      "tag: 0x5",
    ]);
    expect(said(0x60000040, 0x010002ff, 0x00000012, 0x34567000)).toContain("address: 0x1234567000");
    expect(said(0x44000001, 0x0000000f, 0x01080010, 0)).toEqual(expect.arrayContaining(["target: 01:01.0", "register: 0x10"]));
    expect(said(0x34000000, 0x01000020, 0, 0)).toEqual(expect.arrayContaining(["TLP: message local", "message code: 0x20"]));
    expect(said(0x1f000000, 0, 0, 0)).toEqual(["TLP: reserved type 0x1f"]);
    expect(said(0, 0, 0, 0)).toEqual([]);
  });
  test("fields that are zero and not vouched for are left out", () => {
    const bare = bytes.slice();
    bare[0] = 0x8d;
    bare.set([0, 0, 0, 0], 12);
    expect(fieldTrees(typeOf("pcie").layout, read("pcie", bare)).map(({ label }) => label)).toEqual([
      "validation",
      "port type",
      "command",
      "status",
      "device id",
      "AER",
    ]);
  });
  test("RCRB instead of a device address", () => {
    const rcrb = bytes.slice();
    rcrb.set([0x08 ^ 0x8f, 0x03], 0);
    rcrb.set(hex`01 00 00 00`, 20);
    expect(summary("pcie", rcrb)).toContain("root complex register block 0x100010200 (8086:2030)");
  });
});

describe("CXL", () => {
  const log = hex`
    40 40 00 00  00 00 00 00  40 00 00 00   # uncorrectable: memory byte enable parity (fatal), internal
    02 00 00 00  00 00 00 00  06 00 00 00   # correctable: memory data ECC; first error 6
    78 56 34 12  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
    00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
  `;
  test("protocol error: lengths and validation bits computed, RAS capability in words", () => {
    const errorLog = decode(CXL_RAS(), log);
    const body = completed(typeOf("cxlProtocol").layout, {
      agentType: "rootPort",
      agentAddress: { bus: 0x0c, device: 1, function: 0, segment: 0 },
      deviceId: { vendorId: 0x1b36, deviceId: 0x0d93 },
      dvsec: { dvsecId: "flexBusPort", registers: Uint8Array.of(1, 2) },
      errorLog,
    });
    const bytes = encode(typeOf("cxlProtocol").layout, body as never);
    expect(bytes.length).toBe(116 + 12 + 88);
    expect([...bytes.subarray(0, 9)]).toEqual([0x67, 0, 0, 0, 0, 0, 0, 0, 5]);
    expect([...bytes.subarray(108, 112)]).toEqual([12, 0, 88, 0]);
    expect(bytes.subarray(128)).toEqual(log);
    expect(typeOf("cxlProtocol").summary!(body as never)).toBe(
      "CXL root port, 0000:0c:01.0, (1b36:0d93), memory byte enable parity (fatal), internal error (non-fatal), memory data ECC (corrected)",
    );
    expect(lines("cxlProtocol", bytes)).toContain("  first error: memory byte enable parity\n  header log: 12345678 00000000");
  });
  test("component events count their own length", () => {
    const body = completed(typeOf("cxlDram").layout, {
      deviceId: { vendorId: 0x8086, deviceId: 0x0d93, bus: 0x0e },
      event: {
        header: { flags: { severity: "failure" } },
        physicalAddress: 0x1000n,
        eventType: "eccError",
        descriptor: { uncorrectable: true },
        channel: 1,
        bankGroup: 2,
        row: 0x12345,
      },
    });
    const bytes = encode(typeOf("cxlDram").layout, body as never);
    expect([...bytes.subarray(0, 6)]).toEqual([144, 0, 0, 0, 5, 0]);
    expect([...bytes.subarray(32 + 43, 32 + 45)]).toEqual([0x29, 0]);
    expect(summary("cxlDram", bytes)).toBe(
      "media ECC error, uncorrectable, device physical address 0x1000, persistent, channel 1, bank group 2, row 74565, failure, device 0000:0e:00.0 (8086:0d93)",
    );
  });
});
const CXL_RAS = () => {
  const window = (typeOf("cxlProtocol").layout as unknown as { fields: { errorLog: { item: never } } }).fields.errorLog;
  return window.item;
};

describe("FRU memory poison", () => {
  const bytes = hex`
    00 00 00 00   # checksum, below
    3f 00 00 00 00 00 00 00   # all fields
    00 00 00 00  11 0f a0 00 00 00 00 00   # CPUID 00a00f11
    00 00 00 00  88 77 66 55 44 33 22 11   # PPIN
    01 00 00 00
    00 e1 f5 65 00 00 00 00  00 00 00 00  01 00 00 00 96 00 00 00  00 00 00 00  00 50 34 12 00 00 00 00
  `;
  // The words of the section sum to zero.
  new DataView(bytes.buffer).setUint32(0, 2 ** 32 - ((0x3f + 0xa00f11 + 0x55667788 + 0x11223344 + 1 + 0x65f5e100 + 1 + 0x96 + 0x12345000) % 2 ** 32), true);
  test("built with count and checksum", () => {
    const body = completed(typeOf("fruMemoryPoison").layout, {
      architectureType: "cpuid1Eax",
      architecture: 0xa00f11n,
      fruIdType: "ppin",
      fruId: 0x1122334455667788n,
      entries: [{ timestamp: 0x65f5e100n, hardwareId: 0x9600000001n, address: 0x12345000n }],
    });
    expect(encode(typeOf("fruMemoryPoison").layout, body as never)).toEqual(bytes);
  });
  test("in words", () => {
    expect(summary("fruMemoryPoison", bytes)).toBe("1 poisoned location, at 0x12345000, PPIN 0x1122334455667788");
    expect(lines("fruMemoryPoison", bytes)).toBe("processor: family 0x19, model 0x1, stepping 1\nchecksum: right\nentry 0: 2024-03-16T18:12:16Z");
    const bad = bytes.slice();
    bad[0]!++;
    expect(lines("fruMemoryPoison", bad)).toContain("checksum: wrong");
  });
});

describe("ARM RAS node", () => {
  test("offsets, counts and sizes are computed", () => {
    const type = typeOf("armRasNode");
    const body = completed(type.layout, {
      revision: 1,
      componentType: "memory",
      instanceFormat: "systemAddress",
      instance: { address: 0x10000000n },
      typeFormat: "none",
      records: [
        { status: { valid: true, uncorrected: true, serr: "externalMemory", uncorrectedType: "latent", addressValid: true }, addr: 0x8000000012345000n },
      ],
      auxiliary: [
        { version: 1, contexts: [{ registers: [{ address: 1n, value: 2n }] }], keyValues: [{ key: "ebb45182-fb03-4bf9-9aca-8613709fd789", value: 3n }] },
      ],
    });
    expect(body).toMatchObject({
      recordCount: 1,
      recordsOffset: 80,
      auxiliaryOffset: 152,
      auxiliary: [{ contextCount: 1, keyValueCount: 1, keyValueOffset: 48 }],
    });
    const bytes = encode(type.layout, body as never);
    expect(bytes.length).toBe(152 + 72);
    expect(summary("armRasNode", bytes)).toBe(
      "memory node, at 0x10000000, uncorrected error (latent or restartable), data value from external memory, address 0x12345000",
    );
    const without = completed(type.layout, { componentType: "gic", records: [] });
    expect(without).toMatchObject({ recordCount: 0, recordsOffset: 80 });
    expect((without as { auxiliaryOffset?: number }).auxiliaryOffset ?? 0).toBe(0);
  });
});

describe("others", () => {
  test("firmware error record reference, revision 0 of 16 bytes", () => {
    const bytes = hex`00 00 00 00 00 00 00 00  22 11 00 00 00 00 00 00`;
    const findings: never[] = [];
    parse(typeOf("firmwareErrorRecordReference").layout, bytes, 0, 16, { findings });
    expect(findings).toEqual([]);
    expect(summary("firmwareErrorRecordReference", bytes)).toBe("IPF SAL error record, record id 0x1122");
  });
  test("DMA remapping faults", () => {
    expect(summary("dmarGeneric", hex`08 01 02 00 05 00 00 01 00 50 34 12 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00`)).toBe(
      "address beyond the device address width, requester 0002:01:01.0, DMA write, device address 0x12345000, VT-d",
    );
    const vtd = new Uint8Array(144);
    vtd.set(hex`00 50 34 12 00 00 00 00  08 01 00 80 05 23 01 c0`, 48);
    expect(summary("vtdDmar", vtd)).toBe("no write permission, requester 01:01.0, read request, address 0x12345000, PASID 0x123");
    const iommu = new Uint8Array(144);
    iommu.set(hex`08 01 00 00 00 00 00 20  00 50 34 12 00 00 00 00`, 32);
    expect(summary("iommuDmar", iommu)).toBe("I/O page fault, device 01:01.0, address 0x12345000");
  });
  test("processor generic, memory 2, PCI", () => {
    const generic = completed(typeOf("processorGeneric").layout, {
      processorType: "arm",
      errorType: { cache: true, tlb: true },
      operation: "dataRead",
      level: 2,
      cpuVersion: 0x410fd0c0n,
      processorId: 0x10203n,
    });
    const bytes = encode(typeOf("processorGeneric").layout, generic as never);
    expect([...bytes.subarray(0, 2)]).toEqual([0x6d, 0x01]);
    expect(summary("processorGeneric", bytes)).toBe("cache and TLB error, during data read, level 2, ARM processor, processor id 0x10203");
    expect(lines("processorGeneric", bytes)).toBe("CPU version in words: Arm Neoverse N1 r0p0\nprocessor affinity: 0.1.2.3");
    const memory = completed(typeOf("platformMemory2").layout, { memoryErrorType: "singleBitEcc", physicalAddress: 0x12345000n, node: 1, rank: 3, status: {} });
    expect(typeOf("platformMemory2").summary!(memory as never)).toBe("single-bit ECC, physical address 0x12345000, node 1, corrected, rank 3");
    const pci = completed(typeOf("pciComponent").layout, {
      deviceId: { vendorId: 0x8086, deviceId: 0x1234, bus: 1, device: 2, function: 3 },
      memoryRegisters: [{ address: 1n, value: 2n }],
      ioRegisters: [],
    });
    expect(pci).toMatchObject({ memoryCount: 1, ioCount: 0, validation: { deviceId: true, registerPairs: true } });
    expect(typeOf("pciComponent").summary!(pci as never)).toBe("0000:01:02.3 (8086:1234), 1 registers");
  });
});

describe("memory sections of earlier revisions", () => {
  test("73 to 80 bytes are a whole one, 72 and 81 are not", () => {
    const findings = (size: number) => {
      const out: { message: string }[] = [];
      parse(typeOf("platformMemory").layout, new Uint8Array(size), 0, size, { findings: out as never });
      return out.map(({ message }) => message);
    };
    for (let size = 73; size <= 80; size++) expect(findings(size), `${size}`).toEqual([]);
    expect(findings(72)).toEqual(["the Platform Memory Error is cut short: 72 bytes of whole fields, 72 bytes in all"]);
    expect(findings(81)).toEqual(["1 bytes follow the Platform Memory Error"]);
  });
});
