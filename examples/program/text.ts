/** Text of unknown origin in a terminal's columns. Invariant: none of it reaches the terminal with a control character. */

const longestWord = 32;

export function printable(word: string): string {
  const visible = Array.from(word.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, "\u{fffd}"));
  return visible.length <= longestWord ? visible.join("") : `${visible.slice(0, longestWord - 1).join("")}…`;
}

/** How many columns of a terminal the text takes: two for East Asian characters, none for combining marks. */
export function columnsOf(text: string): number {
  let columns = 0;
  for (const character of text) {
    if (/\p{M}/u.test(character)) continue;
    columns += /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}]/u.test(
      character,
    )
      ? 2
      : 1;
  }
  return columns;
}

export function pad(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - columnsOf(text)));
}
