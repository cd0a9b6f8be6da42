/** arm64: syndromes, exception entry, delivery of errors, the KVM interface. */
export * from "./delivery.ts";
export { asynchronousCells, type Cell, deliveryDocument, shortDecision, synchronousCells } from "./delivery-table.ts";
export * from "./exception-entry.ts";
export * from "./explain.ts";
export * from "./kvm.ts";
export * from "./kvm-events.ts";
export * from "./kvm-layouts.ts";
export * from "./registers.ts";
export * from "./syndrome.ts";
