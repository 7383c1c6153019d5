import { parse } from 'smol-toml';

export type TomlPath = readonly (string | number)[];

interface LineNode {
  /** 1-based; 0 for the root. */
  readonly line: number;
  children: Map<string, LineNode> | null;
  /** One node per `[[header]]` of this key. */
  items: LineNode[] | null;
}

const newNode = (line: number): LineNode => ({ line, children: null, items: null });

/**
 * Where each key of a TOML document stands. smol-toml tells positions for syntax errors only, so this walks the text a
 * second time, knowing just enough of the grammar: headers, keys, strings and brackets. It is right for documents that
 * smol-toml accepts and never throws for others. Work and memory are linear in the text, whatever its nesting.
 */
export class TomlLines {
  readonly #text: string;
  readonly #root = newNode(0);
  #current = this.#root;
  #position = 0;
  #line = 1;

  constructor(text: string) {
    this.#text = text;
    while (this.#position < text.length) this.#readStatement();
  }

  /**
   * Line of the key at `path`; a key inside an inline table or a list has the line of the innermost key that stands
   * on a line of its own. 0 when not even the first key is there.
   */
  lineOf(path: TomlPath): number {
    let node = this.#root;
    for (const step of path) {
      const next: LineNode | undefined = typeof step === 'number' ? node.items?.[step] : node.children?.get(step);
      if (next === undefined) break;
      node = next;
    }
    return node.line;
  }

  #readStatement(): void {
    const char = this.#text[this.#position];
    if (char === '\n') {
      this.#line += 1;
      this.#position += 1;
    } else if (char === '#') this.#skipComment();
    else if (char === '[') this.#readHeader();
    else if (char === ' ' || char === '\t' || char === '\r' || char === '\ufeff') this.#position += 1;
    else this.#readPair();
  }

  #readHeader(): void {
    const repeated = this.#text[this.#position + 1] === '[';
    this.#position += repeated ? 2 : 1;
    const keys = this.#readKeys(']');
    const last = keys.length - 1;
    let node = this.#root;
    keys.forEach((key, index) => {
      node = this.#child(node, key);
      const lastItem = node.items?.at(-1);
      if (index === last && repeated) {
        const item = newNode(this.#line);
        node.items ??= [];
        node.items.push(item);
        node = item;
      } else if (lastItem !== undefined) node = lastItem;
    });
    this.#current = node;
    if (repeated && this.#text[this.#position] === ']') this.#position += 1;
  }

  #readPair(): void {
    const line = this.#line;
    let node = this.#current;
    for (const key of this.#readKeys('=')) node = this.#child(node, key, line);
    this.#skipValue();
  }

  #child(node: LineNode, key: string, line = this.#line): LineNode {
    node.children ??= new Map();
    let child = node.children.get(key);
    if (child === undefined) {
      child = newNode(line);
      node.children.set(key, child);
    }
    return child;
  }

  /** Dotted and quoted keys up to and over `end`; an unfinished line ends them too. */
  #readKeys(end: string): string[] {
    const keys: string[] = [];
    while (this.#position < this.#text.length) {
      const char = this.#text[this.#position]!;
      if (char === '\n') break;
      if (char === end) {
        this.#position += 1;
        break;
      }
      if (char === '"' || char === "'") keys.push(this.#readQuotedKey());
      else if (/[A-Za-z0-9_-]/.test(char)) keys.push(this.#readBareKey());
      else this.#position += 1;
    }
    return keys;
  }

  #readBareKey(): string {
    const start = this.#position;
    while (/[A-Za-z0-9_-]/.test(this.#text[this.#position] ?? '')) this.#position += 1;
    return this.#text.slice(start, this.#position);
  }

  #readQuotedKey(): string {
    const start = this.#position;
    this.#skipString();
    const literal = this.#text.slice(start, this.#position);
    if (!literal.includes('\\') || literal.startsWith("'")) return literal.slice(1, -1);
    try {
      return String(parse(`key = ${literal}`)['key']);
    } catch {
      return literal;
    }
  }

  #skipComment(): void {
    const end = this.#text.indexOf('\n', this.#position);
    this.#position = end === -1 ? this.#text.length : end;
  }

  /** To the end of the line on which the value's last bracket closes. */
  #skipValue(): void {
    let depth = 0;
    while (this.#position < this.#text.length) {
      const char = this.#text[this.#position]!;
      if (char === '\n' && depth <= 0) return;
      if (char === '"' || char === "'") {
        this.#skipString();
        continue;
      }
      if (char === '#') {
        this.#skipComment();
        continue;
      }
      if (char === '\n') this.#line += 1;
      else if (char === '[' || char === '{') depth += 1;
      else if (char === ']' || char === '}') depth -= 1;
      this.#position += 1;
    }
  }

  #skipString(): void {
    const quote = this.#text[this.#position]!;
    const triple = this.#text.startsWith(quote.repeat(3), this.#position);
    this.#position += triple ? 3 : 1;
    while (this.#position < this.#text.length) {
      const char = this.#text[this.#position]!;
      if (char === '\n' && !triple) return;
      if (char === '\n') this.#line += 1;
      if (char === '\\' && quote === '"' && this.#text[this.#position + 1] !== '\n') this.#position += 2;
      else if (char !== quote) this.#position += 1;
      else if (!triple) {
        this.#position += 1;
        return;
      } else if (this.#text.startsWith(quote.repeat(3), this.#position)) {
        this.#position += 3;
        // Up to two more quotes belong to the text that ends here.
        while (this.#text[this.#position] === quote) this.#position += 1;
        return;
      } else this.#position += 1;
    }
  }
}

/** `interceptor[0].event`, `publish."a.b"`: how a message names a place in the manifest. */
export function formatTomlPath(path: TomlPath): string {
  let shown = '';
  for (const step of path) {
    if (typeof step === 'number') shown += `[${step}]`;
    else {
      const key = /^[A-Za-z0-9_-]{1,64}$/.test(step) ? step : quoteKey(step);
      shown += shown === '' ? key : `.${key}`;
    }
  }
  return shown;
}

function quoteKey(key: string): string {
  const plain = key.slice(0, 64).replace(/[^\x20-\x7e]/g, '?');
  return JSON.stringify(key.length > 64 ? `${plain}…` : plain);
}
