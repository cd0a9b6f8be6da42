import { describe, expect, test } from "vitest";
import { amdErrorCode, bankOfMsrContext, bankSummary, bankTree, bankType, cpuModel, intelErrorCode, readBank } from "../../src/cper/machine-check/index.ts";
import {
  AmdConfiguration,
  AmdIpId,
  AmdMisc0,
  AmdStatus,
  IntelMisc,
  IntelRootPortMisc,
  IntelStatus,
  McgCapability,
  McgStatus,
} from "../../src/cper/machine-check/registers.ts";
import { treeLines } from "../../src/layout/index.ts";
import { lawsOf } from "../support/laws.ts";

lawsOf(
  [
    ["MCi_STATUS", IntelStatus],
    ["MCA_STATUS", AmdStatus],
    ["MCG_STATUS", McgStatus],
    ["MCG_CAP", McgCapability],
    ["MCi_MISC", IntelMisc],
    ["MCi_MISC of a root port", IntelRootPortMisc],
    ["MCA_MISC0", AmdMisc0],
    ["MCA_CONFIG", AmdConfiguration],
    ["MCA_IPID", AmdIpId],
  ],
  { runs: 40 },
);

describe("error codes", () => {
  // Intel SDM volume 3B chapter 17, tables of simple and compound codes.
  test.each([
    [0x0000, "no error"],
    [0x0005, "internal parity error"],
    [0x0400, "internal timer error"],
    [0x0405, "internal unclassified error"],
    [0x000e, "cache hierarchy error, level 2"],
    [0x0014, "TLB error, data, level 0"],
    [0x0092, "memory controller error, read, channel 2"],
    [0x009f, "memory controller error, read, channel not given"],
    [0x00c1, "memory controller error, scrub, channel 1"],
    [0x0134, "cache error, data read, data, level 0"],
    [0x0150, "cache error, instruction fetch, instruction, level 0"],
    [0x1150, "cache error, instruction fetch, instruction, level 0, further corrections filtered"],
    [0x0291, "extended memory error, read, channel 1"],
    [0x080b, "bus or interconnect error, generic error, I/O, originated by this processor, generic level, no time-out"],
    [0x0e0b, "I/O error of a PCIe root port"],
    [0x0f0f, "bus or interconnect error, generic error, other, generic participation, generic level, timed out"],
    [0x0200, "unknown error code 0x200"],
    [0x8000, "unknown error code 0x8000"],
  ])("0x%s", (code, words) => expect(intelErrorCode(code)).toBe(words));

  // Linux mce_amd.c: the forms TLB, memory, bus and internal.
  test.each([
    [0x0015, "TLB error, data, level 1"],
    [0x0135, "memory hierarchy error, data read, data, level 1"],
    [0x0150, "memory hierarchy error, instruction fetch, instruction, reserved level"],
    [0x0600, "internal error, hardware assertion"],
    [0x0400, "internal unclassified error"],
    [0x0813, "bus or interconnect error, read, memory, originated by this processor, level 3 or generic, no time-out"],
  ])("AMD 0x%s", (code, words) => expect(amdErrorCode(code)).toBe(words));
});

describe("Intel banks", () => {
  const bank = (status: bigint, more: object = {}) => readBank({ vendor: "intel", status, ...more });
  // UC 61, PCC 57, S 56, AR 55 (SDM table of software error recovery classes).
  test.each([
    [0x8000000000000000n, "corrected"],
    [0xa000000000000000n, "uncorrected, no action required"],
    [0xa100000000000000n, "uncorrected, action optional"],
    [0xa180000000000000n, "uncorrected, action required"],
    [0xa200000000000000n, "fatal"],
  ])("status %s is %s", (status, severity) => expect(bank(status).severity).toBe(severity));

  test("without software recovery the S and AR bits mean nothing", () => {
    expect(bank(0xa180000000000000n, { capability: 0x0f000c14n & ~(1n << 24n) }).severity).toBe("uncorrected");
    expect(bank(0xa180000000000000n, { capability: 0x0f000c14n }).severity).toBe("uncorrected, action required");
  });

  test("the threshold is told only where the processor has it", () => {
    const yellow = 0x8000000000000000n | (2n << 53n);
    expect(bank(yellow).severity).toBe("corrected");
    expect(bank(yellow, { capability: 1n << 11n }).severity).toBe("corrected, above threshold");
  });

  test("a recoverable data load: status of bank 1 with MISC 0x86", () => {
    expect(bankSummary({ vendor: "intel", status: 0xbd80000000100134n, address: 0x12345678n, misc: 0x86n, capability: 0x0f000c14n })).toBe(
      "uncorrected, action required, data load error (cache error, data read, data, level 0), physical address 0x12345640",
    );
  });

  test("a root port names itself in MISC", () => {
    // Segment 1, bus 0x17, device 2, function 3.
    const misc = (1n << 32n) | (0x17n << 24n) | (2n << 19n) | (3n << 16n);
    expect(readBank({ vendor: "intel", status: (1n << 63n) | (1n << 61n) | (1n << 59n) | 0x0e0bn, misc }).place).toEqual(["root port 0001:17:02.3"]);
  });

  test("a status without its valid bit is marked", () => {
    expect(bankSummary({ vendor: "intel", status: 0x92n })).toContain("status not marked valid");
    expect(bankSummary({ vendor: "intel", status: 0n })).toBe("nothing logged");
  });
});

describe("AMD banks", () => {
  const scalable = { configuration: 1n };
  // Linux mce_amd.c: PCC 57, TCC 55, deferred 44.
  test.each([
    [0xa200000000000000n, "fatal"],
    [0xa080000000000000n, "uncorrected, the task is lost"],
    [0xa000000000000000n, "uncorrected, containable"],
    [0x8000100000000000n, "deferred"],
    [0x8000000000000000n, "corrected"],
  ])("status %s is %s", (status, severity) => expect(readBank({ vendor: "amd", status, ...scalable }).severity).toBe(severity));

  test("a memory controller names channel and chip select", () => {
    // Hardware id 0x96 type 0, instance 0x350f00: channel 3; syndrome valid, chip select 1.
    const status = (1n << 63n) | (1n << 58n) | (1n << 53n) | 0x11bn;
    expect(bankSummary({ vendor: "amd", status, address: 0x0400000012000000n, ipId: 0x0000009600350f00n, configuration: 1n, syndrome: 1n })).toBe(
      "corrected, DRAM ECC error (memory hierarchy error, read, generic, level 3 or generic), unified memory controller, channel 3, chip select 1, address 0x12000000",
    );
  });

  test("the count of address bits that mean nothing moves to the status when the configuration says so", () => {
    const status = (1n << 63n) | (1n << 58n) | (12n << 24n);
    expect(readBank({ vendor: "amd", status, address: 0x12345678n, configuration: 0x101n }).address).toBe(0x12345000n);
    expect(readBank({ vendor: "amd", status, address: 0x12345678n | (8n << 56n), configuration: 1n }).address).toBe(0x12345600n);
    expect(readBank({ vendor: "amd", status, address: 0x12345678n }).address).toBe(0x12345678n);
  });

  test("the syndrome registers can hold the name of the part", () => {
    // "DIMM A1" in MCA_SYND1, configuration bit 9.
    expect(readBank({ vendor: "amd", status: 1n << 63n, configuration: 0x201n, syndrome1: 0x003141204d4d4944n }).place).toContain("'DIMM A1'");
  });

  test("bank types and renumbered causes", () => {
    expect(bankType(0xb0, 0x10)?.causes[12]).toBe("load queue parity error");
    expect(bankType(0xb0, 3)?.causes[1]).toBe("micro-op cache data parity error");
    expect(bankType(0x2e, 1)?.causes[2]).toBe("link error");
    expect(bankType(1, 3)?.causes[28]).toBe("system hub read buffer ECC or parity error");
    expect(bankType(1, 3)?.causes[43]).toBe("SDP watchdog time-out");
    expect(bankType(0x2e, 2)?.causes[9]).toBe("probe filter protocol error");
    expect(bankType(0x2e, 2, cpuModel(0x00a10f11))?.causes[9]).toBe("unexpected retry");
    expect(bankType(0x96, 0, cpuModel(0x00a90f10))?.causes[0]).toBe("DRAM on-die ECC error");
    expect(bankType(0x123, 0)).toBeUndefined();
  });

  test("family and model of CPUID leaf 1", () => {
    expect(cpuModel(0x00a20f10)).toEqual({ family: 0x19, model: 0x21 });
    expect(cpuModel(0x00050656)).toEqual({ family: 6, model: 0x55 });
  });

  test("a dump of model-specific registers from a bank's status on is that bank", () => {
    const values = [1n << 63n, 2n, 3n, 4n, 5n, 6n];
    expect(bankOfMsrContext(0xc0002101, values)).toMatchObject({
      bank: 16,
      registers: { status: 1n << 63n, address: 2n, misc: 3n, configuration: 4n, ipId: 5n, syndrome: 6n },
    });
    expect(bankOfMsrContext(0xc0002102, values)).toBeUndefined();
    expect(bankOfMsrContext(0x180, values)).toBeUndefined();
    expect(bankOfMsrContext(0xc0002101, values.slice(0, 5))).toBeUndefined();
  });

  test("every status and every bank type gives words without holes", () => {
    for (let bit = 0n; bit < 64n; bit++)
      for (const vendor of ["intel", "amd", "other"] as const) {
        const lines = treeLines(
          bankTree("bank", { vendor, status: 1n << bit, address: 1n << bit, misc: 1n << bit, ipId: 1n << bit, configuration: 1n << bit, syndrome: 1n }),
        );
        expect(lines.join("\n")).not.toMatch(/undefined|NaN|\[object/);
      }
  });
});
