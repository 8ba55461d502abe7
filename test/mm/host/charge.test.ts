// A budget in pages, checked exactly.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Charge } from "../../../src/mm/host/charge.js";
import { InvariantError } from "../../../src/mm/errors.js";
import { memoryError } from "../../builders.js";

describe("a charge", () => {
  test("can be used up to the last page and no further", () => {
    const charge = new Charge(3);
    assert.equal(charge.tryCharge(2), true);
    assert.equal(charge.tryCharge(2), false);
    assert.equal(charge.usage, 2);
    assert.equal(charge.tryCharge(1), true);
    assert.equal(charge.tryCharge(1), false);
    assert.equal(charge.usage, 3);
  });

  test("can be used again after it was given back", () => {
    const charge = new Charge(1);
    charge.tryCharge(1);
    charge.uncharge(1);
    assert.equal(charge.tryCharge(1), true);
  });

  test("without a limit never refuses", () => {
    assert.equal(new Charge(Infinity).tryCharge(2 ** 40), true);
  });

  test("can be limited to what is in use, and not to less", () => {
    const charge = new Charge(5);
    charge.tryCharge(3);
    charge.limit = 3;
    assert.equal(charge.tryCharge(1), false);
    assert.throws(() => (charge.limit = 2), memoryError("EBUSY", /limit of 2 pages is below the 3 in use/));
    assert.throws(() => (charge.limit = NaN), memoryError("EBUSY", /limit of NaN pages/));
    assert.equal(charge.limit, 3);
  });

  test("cannot be given back twice", () => {
    const charge = new Charge(5);
    charge.tryCharge(1);
    assert.throws(() => charge.uncharge(2), InvariantError);
  });
});
