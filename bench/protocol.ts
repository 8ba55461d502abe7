/** The protocol without copying: setup, pages, finalize, in batches of 512 pages of 4 KiB, over memcpy of such a page. */

import { processorTime } from "./clock.js";
import type { Bound, Figure } from "./figure.js";
import { PageCopy } from "./page-copy.js";
import { randomNumbers, SEED } from "./permutation.js";
import { BATCH_PAGES, PAGE_SIZE, ProtocolMachine } from "./protocol-machine.js";
import type { Scale, Scenario } from "./scenario.js";

const TEN_THOUSAND = 20 * BATCH_PAGES;
const FOUR_MILLION = 7813 * BATCH_PAGES;
const FORTY_THOUSAND = 80 * BATCH_PAGES;
/** Pages that one sample migrates at least: small machines go there and back several times. */
const SAMPLE_PAGES = 200_000;

const HOME_BOUNDS: readonly Bound[] = [
  { of: "ratio", most: 1 },
  { of: "value", most: 300 },
];
const GROWTH_BOUNDS: readonly Bound[] = [{ of: "ratio", most: 1.3 }];
const SCRAMBLED_BOUNDS: readonly Bound[] = [{ of: "value", most: 1000 }];

/** Samples of both directions, in nanoseconds a page, and of memcpy beside each. */
class Samples {
  readonly toDevice: number[] = [];
  readonly toHost: number[] = [];
  readonly copyBeforeDevice: number[] = [];
  readonly copyBeforeHost: number[] = [];

  constructor(
    readonly machine: ProtocolMachine,
    readonly copy: PageCopy,
  ) {}

  /** One round; the machine ends as it began, with all pages on the host. */
  take(passes: number): void {
    const { machine, copy } = this;
    let toDevice = 0;
    let toHost = 0;
    this.copyBeforeDevice.push(copy.nanosecondsAPage());
    for (let i = 0; i < passes; i++) {
      machine.scramble();
      toDevice -= processorTime();
      machine.toDevice();
      toDevice += processorTime();
      if (i === 0) {
        machine.checkOnDevice();
        this.copyBeforeHost.push(copy.nanosecondsAPage());
      }
      machine.scramble();
      toHost -= processorTime();
      machine.toHost();
      toHost += processorTime();
      if (i === 0) machine.checkOnHost();
    }
    this.toDevice.push((toDevice * 1e6) / (passes * machine.pages));
    this.toHost.push((toHost * 1e6) / (passes * machine.pages));
  }

  figures(order: string, bounds: readonly Bound[]): Figure[] {
    const what = `protocol, ${spelled(this.machine.pages)} pages${order}`;
    return [
      figure(`${what}, to device`, this.toDevice, this.copyBeforeDevice, bounds),
      figure(`${what}, to host`, this.toHost, this.copyBeforeHost, bounds),
    ];
  }
}

function figure(row: string, samples: readonly number[], copies: readonly number[], bounds: readonly Bound[]): Figure {
  return { row, unit: "ns/page", pageSize: PAGE_SIZE, samples, baseline: { name: "memcpy", samples: copies }, bounds };
}

function growth(direction: string, many: readonly number[], few: readonly number[]): Figure {
  const row = `protocol, growth with mapped pages, ${direction}`;
  const baseline = { name: `${spelled(TEN_THOUSAND)} pages`, samples: few };
  return { row, unit: "ns/page", pageSize: PAGE_SIZE, samples: many, baseline, bounds: GROWTH_BOUNDS };
}

function spelled(pages: number): string {
  return pages < 1e6 ? `${Math.round(pages / 1e3)} thousand` : `${Math.round(pages / 1e6)} million`;
}

function pageCopy({ smoke }: Scale): PageCopy {
  return new PageCopy(smoke ? 4 << 20 : 256 << 20);
}

export const protocolAtHome: Scenario = {
  name: "protocol, frames in home order",
  async run(scale) {
    const copy = pageCopy(scale);
    const few = new Samples(await ProtocolMachine.create(TEN_THOUSAND, null), copy);
    const many = new Samples(await ProtocolMachine.create(scale.smoke ? FORTY_THOUSAND : FOUR_MILLION, null), copy);
    const passes = Math.ceil(SAMPLE_PAGES / TEN_THOUSAND);
    const warmUp = new Samples(few.machine, copy);
    warmUp.take(scale.smoke ? 1 : 2 * passes);
    for (let round = 0; round < (scale.smoke ? 1 : 7); round++) {
      few.take(scale.smoke ? 1 : passes);
      many.take(1);
    }
    return [
      ...few.figures("", HOME_BOUNDS),
      ...many.figures("", HOME_BOUNDS),
      growth("to device", many.toDevice, few.toDevice),
      growth("to host", many.toHost, few.toHost),
    ];
  },
};

export const protocolScrambled: Scenario = {
  name: "protocol, frames, LRU and batches scrambled",
  async run(scale) {
    const copy = pageCopy(scale);
    const machine = await ProtocolMachine.create(scale.smoke ? FORTY_THOUSAND : FOUR_MILLION, randomNumbers(SEED));
    const samples = new Samples(machine, copy);
    for (let round = 0; round < (scale.smoke ? 1 : 5); round++) samples.take(1);
    return samples.figures(", scrambled", SCRAMBLED_BOUNDS);
  },
};
