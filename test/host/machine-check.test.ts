import { describe, expect, test } from "vitest";
import { finishMachineCheck, injectMachineCheck, machineCheckState } from "../../src/host/machine-check.ts";

const error = { vendor: "intel", code: "actionRequired", address: 0x8000000n } as const;

describe("what QEMU puts into the banks", () => {
  test.each([
    ["intel", "actionRequired", 0xbd80000000000134n, 7n],
    ["intel", "actionOptional", 0xbd000000000000c0n, 5n],
    ["amd", "actionRequired", 0xbc00080000000000n, 7n],
    ["amd", "actionOptional", 0x9c00180000000000n, 5n],
  ] as const)("%s, %s", (vendor, code, status, globalStatus) => {
    const states = [machineCheckState(), machineCheckState()];
    const { writes, outcome } = injectMachineCheck(states, 0, { vendor, code, address: 0x1000n });
    expect(outcome).toBe("injected");
    expect(writes).toEqual([
      { vcpu: 0, bank: 9, status, globalStatus, address: 0x1000n, misc: 0x8cn },
      { vcpu: 1, bank: 1, status: 0xa000000000000000n, globalStatus: 5n },
    ]);
  });
  test("a guest that takes local machine checks gets one alone", () => {
    const { writes } = injectMachineCheck([machineCheckState(), machineCheckState()], 1, { ...error, localOnly: true });
    expect(writes).toEqual([{ vcpu: 1, bank: 9, status: 0xbd80000000000134n, globalStatus: 15n, address: 0x8000000n, misc: 0x8cn }]);
  });
});

describe("what cannot be given", () => {
  test("an optional one while another is in progress is dropped", () => {
    const states = [machineCheckState()];
    injectMachineCheck(states, 0, error);
    expect(injectMachineCheck(states, 0, { ...error, code: "actionOptional" })).toMatchObject({ outcome: "ignored", writes: [] });
  });
  test("a required one while another is in progress, or with machine checks off, resets the machine", () => {
    const busy = [machineCheckState()];
    injectMachineCheck(busy, 0, error);
    expect(injectMachineCheck(busy, 0, error)).toMatchObject({ outcome: "reset", messages: ["CPU 0: Previous MCE still in progress, raising triple fault"] });
    finishMachineCheck(busy[0]!);
    expect(injectMachineCheck(busy, 0, error).outcome).toBe("injected");
    const off = [{ ...machineCheckState(), enabled: false }];
    expect(injectMachineCheck(off, 0, error)).toMatchObject({ outcome: "reset", messages: ["CPU 0: MCE capability is not enabled, raising triple fault"] });
  });
  test("a bank that still holds an error is marked as overflown", () => {
    const states = [machineCheckState()];
    injectMachineCheck(states, 0, error);
    states[0]!.globalStatus = 0n;
    expect(injectMachineCheck(states, 0, error).writes[0]!.status).toBe(0xfd80000000000134n);
  });
  test("a deferred error of AMD's interrupts nobody: the bank waits, and what comes then finds it full", () => {
    const states = [machineCheckState()];
    const give = (code: "actionRequired" | "actionOptional") => injectMachineCheck(states, 0, { vendor: "amd", code, address: 0x1000n });
    give("actionOptional");
    expect(states[0]).toMatchObject({ globalStatus: 0n });
    // As Linux 7.2.13 printed it on QEMU 11.1: "Bank 9: fc00080000000000".
    expect(give("actionRequired")).toMatchObject({ outcome: "injected", writes: [{ status: 0xfc00080000000000n }] });
    states[0]!.globalStatus = 0n;
    expect(give("actionOptional")).toMatchObject({ outcome: "ignored", writes: [] });
    expect(states[0]!.banks.get(9)!.status).toBe(0xfc00080000000000n);
  });
  test("reporting switched off", () => {
    const states = [{ ...machineCheckState(), globalControl: 0n }];
    expect(injectMachineCheck(states, 0, error)).toMatchObject({ outcome: "ignored", messages: ["CPU 0: Uncorrected error reporting disabled"] });
  });
});
