// Regular expressions as Envoy's RE2 takes them: https://github.com/google/re2/wiki/Syntax. Of one that it doesn't take, Envoy
// refuses all routes of a service, and JavaScript's own parser knows another language. What is accepted here RE2 accepts; of
// its rarities (`\Q`, most scripts of `\p`) some are refused.

/** What a part of an expression becomes. */
interface Extent {
  /** How often the most repeated of it is written out: counts within counts multiply. */
  readonly copies: number;
  /** Instructions, roughly. */
  readonly size: number;
}
interface Group {
  whole: Extent;
  /** What a count that follows would repeat; counts can't be repeated themselves. */
  last: Extent | undefined;
}

const maxCopies = 1_000;
/** RE2 gives up at 8 MiB, which is some 300,000 instructions. */
const maxSize = 100_000;
const maxDepth = 500;
const nothing: Extent = { copies: 1, size: 0 };
/** A class of Unicode has hundreds of ranges. */
const unicodeClass = 1_500;

const scripts = "Arabic|Cyrillic|Devanagari|Greek|Han|Hangul|Hebrew|Hiragana|Katakana|Latin|Thai";
const categories = "C[cfos]?|L[lmotu]?|M[cen]?|N[dlo]?|P[cdefios]?|S[ckmo]?|Z[lps]?";
const names = "alnum|alpha|ascii|blank|cntrl|digit|graph|lower|print|punct|space|upper|word|xdigit";
const single = String.raw`\\(?:[aftnrv]|x[\dA-Fa-f]{2}|x\{0*(?:10|[\dA-Fa-f])?[\dA-Fa-f]{1,4}\}|[ -/:-@[-\x60{-~])`;
const several = String.raw`\\(?:[dDsSwW]|[pP](?:[CLMNPSZ]|\{\^?(?:${categories}|${scripts})\}))`;
const named = String.raw`\[:\^?(?:${names}):\]`;
const inSet = String.raw`${single}|${several}|${named}|(?!\[:)[^\\\]]`;
const flags = "[imsU]*(?:-[imsU]+)?";

const token = new RegExp(
  [
    String.raw`(?<count>[*+?]\??|\{(?<least>\d+)(?<open>,(?<most>\d*))?\}\??)`,
    String.raw`(?<set>\[(?:\^|(?!\^))(?<members>(?:\]|${inSet})(?:${inSet})*)\])`,
    `(?<several>${several}|\\.)`,
    `(?<single>${single}|[^\\\\[()|^$])`,
    String.raw`(?<place>[|^$]|\\[bBAz]|\(\?${flags}\))`,
    String.raw`(?<group>\((?:\?(?:${flags}:|P?<[A-Za-z_]\w*>)|(?!\?)))`,
    String.raw`(?<end>\))`,
  ].join("|"),
  "suy",
);
const member = new RegExp(
  `${several}|${named}|(?<from>${single}|.)(?:-(?:(?<many>${several}|${named})|(?<to>${single}|[^\\\\])))?`,
  "gsu",
);

/** Why RE2 would not take it; `undefined` if it would. */
export function regexMistake(text: string): string | undefined {
  if (text === "") return "it is empty";
  const groups: Group[] = [{ whole: nothing, last: undefined }];
  token.lastIndex = 0;
  while (token.lastIndex < text.length) {
    const { lastIndex } = token;
    const found = token.exec(text);
    if (!found?.groups) return `RE2 doesn't know ${text.slice(lastIndex, lastIndex + 5)}`;
    const [written, parts] = [found[0], found.groups];
    const group = groups.at(-1)!;
    if (parts.count) {
      const mistake = repeat(group, written, parts);
      if (mistake !== undefined) return mistake;
    } else if (parts.group) {
      if (groups.length > maxDepth) return `there are more than ${maxDepth} groups in each other`;
      groups.push({ whole: nothing, last: undefined });
    } else if (parts.end) {
      groups.pop();
      const outer = groups.at(-1);
      if (!outer) return "a ) has no (";
      add(outer, group.whole);
    } else if (parts.place) {
      group.last = undefined;
    } else {
      const disorder = parts.members && disorderIn(parts.members);
      if (disorder) return `there is no range ${disorder}`;
      const size = parts.single ? 4 : 30 + 4 * written.length + (/\\[pP]/.test(written) ? unicodeClass : 0);
      add(group, { copies: 1, size });
    }
    if (group.whole.size > maxSize) return "it is too large, with all its counts written out";
  }
  return groups.length > 1 ? "a ( has no )" : undefined;
}

function add(group: Group, part: Extent): void {
  group.whole = { copies: Math.max(group.whole.copies, part.copies), size: group.whole.size + part.size };
  group.last = part;
}

function repeat(
  group: Group,
  written: string,
  { least = "0", open, most }: Readonly<Record<string, string | undefined>>,
) {
  const { last } = group;
  if (!last) return `nothing stands before ${written} that it could repeat`;
  const [from, to] = [Number(least), Number(open ? most || least : least)];
  const times = Math.max(from, to, 1);
  if (to < from) return `${written} is less than it begins with`;
  if (last.copies * times > maxCopies) return `${written} makes more than ${maxCopies} copies`;
  const copies = Math.max(group.whole.copies, last.copies * times);
  // `{n,}` is n copies and one that is repeated.
  group.whole = { copies, size: group.whole.size + last.size * times };
  group.last = undefined;
  return undefined;
}

/** A range that ends before it begins, or in no character. */
function disorderIn(members: string): string | undefined {
  for (const { 0: written, groups: { from, many, to } = {} } of members.matchAll(member))
    if (many || (from !== undefined && to !== undefined && codeOf(from) > codeOf(to))) return written;
  return undefined;
}

const controls: Readonly<Record<string, number>> = { a: 7, b: 8, t: 9, n: 10, v: 11, f: 12, r: 13 };
function codeOf(written: string): number {
  if (!written.startsWith("\\")) return written.codePointAt(0) ?? 0;
  const code = /^\\x\{?([\dA-Fa-f]+)/.exec(written)?.[1];
  return code === undefined ? (controls[written[1] ?? ""] ?? written.charCodeAt(1)) : Number.parseInt(code, 16);
}
