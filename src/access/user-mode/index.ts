/** Threads in user mode: what they do to the pages of a shared machine by themselves, and how the pager sees it. */
export type { SharedGrowth, SharedRegion, SharedView } from "./shared-view.js";
export { type UserCounters, UserMachine, type UserPin } from "./user-machine.js";
export { type HeldRun, UserPort } from "./user-port.js";
export { UserPorts } from "./user-ports.js";
