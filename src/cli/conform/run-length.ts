/** Run-length coding of the state of large mappings: `512*103,1024*001` is 512 cells "103" and 1,024 cells "001". */

/** Codes a string of cells of so many digits each. */
export function encodeRuns(cells: string, digits: number): string {
  const runs: string[] = [];
  for (let at = 0; at < cells.length;) {
    const cell = cells.slice(at, at + digits);
    let end = at + digits;
    while (cells.startsWith(cell, end) && end < cells.length) end += digits;
    runs.push(`${(end - at) / digits}*${cell}`);
    at = end;
  }
  return runs.join(",");
}

/** How many cells a code stands for, -1 if it is none. */
export function countRuns(code: string): number {
  if (!/^[1-9]\d{0,8}\*[0-9a-f]+(,[1-9]\d{0,8}\*[0-9a-f]+)*$/.test(code)) return -1;
  return code.split(",").reduce((sum, run) => sum + Number.parseInt(run, 10), 0);
}

/** The cells that a code stands for. */
export function decodeRuns(code: string): string {
  return code
    .split(",")
    .map((run) => {
      const star = run.indexOf("*");
      return run.slice(star + 1).repeat(Number(run.slice(0, star)));
    })
    .join("");
}
