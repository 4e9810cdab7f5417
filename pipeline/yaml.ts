/** Reads YAML (of which JSON is a part), and says where it is wrong: the runtime's parser tells no line. */

/** Longer texts are not searched for the line. */
const SEARCHED_LINES_MAX = 2_000;

/** Throws an `Error` whose message is what is wrong and, where it can be found, the number of the line. */
export function parseYaml(text: string): unknown {
  try {
    return Bun.YAML.parse(text);
  } catch (cause) {
    const what = (cause as Error).message.replace(/^YAML Parse error: /, "");
    const line = lineOf(text);
    const at = line === null ? what : `line ${line.number}: ${what}: ${JSON.stringify(line.text.trim().slice(0, 60))}`;
    throw new Error(at, { cause });
  }
}

/**
 * The line after the longest beginning that can be read. A bracket or quote that is never closed makes all that follows
 * unreadable: then it is the line that opened it.
 */
function lineOf(text: string): { readonly number: number; readonly text: string } | null {
  const lines = text.split("\n");
  if (lines.length > SEARCHED_LINES_MAX) return null;
  for (let good = lines.length - 1; good >= 0; good--) {
    const start = lines.slice(0, good);
    if (!isReadable(start.join("\n"))) continue;
    const wrong = lines.findIndex((line, i) => i >= good && line.trim() !== "" && !line.trim().startsWith("#"));
    return wrong === -1 ? null : { number: wrong + 1, text: lines[wrong]! };
  }
  return null;
}

function isReadable(text: string): boolean {
  try {
    Bun.YAML.parse(text);
    return true;
  } catch {
    return false;
  }
}
