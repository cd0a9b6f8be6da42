/** The error status word of the memory and PCI sections (UEFI 2.11 N.2.4.4 table N.21, "Error Status Fields"). */
import { bits } from "../../layout/index.ts";

export const ERROR_STATUS_TYPE = {
  internal: [1, "error detected internal to the component"],
  memory: [4, "storage error in memory (DRAM)"],
  tlb: [5, "storage error in TLB"],
  cache: [6, "storage error in cache"],
  functionalUnit: [7, "error in one or more functional units"],
  selfTest: [8, "component failed self test"],
  flowControl: [9, "overflow or undervalue of internal queue"],
  bus: [16, "error detected in the bus"],
  virtualMap: [17, "virtual address not found in I/O TLB or directory"],
  improperAccess: [18, "improper access error"],
  unimplemented: [19, "access to unimplemented memory address"],
  lossOfLockstep: [20, "loss of lockstep"],
  response: [21, "response not associated with a request"],
  parity: [22, "bus parity error"],
  protocol: [23, "detection of a protocol error"],
  path: [24, "detection of a path error"],
  timeout: [25, "bus operation time-out"],
  poisoned: [26, "read of data that had been poisoned"],
} as const;

export const ErrorStatus = bits(8, "Error status", {
  type: { at: [8, 8], names: ERROR_STATUS_TYPE },
  address: 16,
  control: 17,
  data: 18,
  responder: 19,
  requestor: 20,
  first: 21,
  overflow: 22,
});
