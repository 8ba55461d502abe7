/** `pageferry/struct`: structures as elements of arrays. */

export {
  type Members,
  type MemberViews,
  type ScalarOfMembers,
  Struct,
  struct,
  type StructInput,
  type StructValue,
} from "./struct.js";
