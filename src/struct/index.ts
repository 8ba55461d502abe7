/** `pageferry/struct`: structures as elements of arrays. */

export {
  type Members,
  type MemberValue,
  type MemberViews,
  type ScalarOfMembers,
  Struct,
  struct,
  type StructValue,
} from "./struct.js";
