import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { PACKAGE_ROOT } from '../kit/package-root.js';

const SDK = join(PACKAGE_ROOT, 'abi/sdk');

const HEAD = `# The SDK

What a capsule in TypeScript imports: each module with its functions and the types they take. This page is generated from the
sources in \`abi/sdk\` (\`npm run docs\`); a test fails when it is out of date. Each comment there says more, above all which errors a call
answers. [capsules.md](capsules.md) tells how the parts belong together.

\`{ a, b? }\` lists the fields of a type; \`?\` marks those that may be left out. A method stands behind the name of its class.
`;

/** The modules in the order of the page: what every capsule has, then what it says and keeps, then the world outside. */
const MODULES = [
  ['capsule', 'tool', 'schema', 'standard', 'interceptor'],
  ['ipc', 'payload', 'hooks', 'loop', 'runtime', 'llm'],
  ['kv', 'fs', 'env', 'settings', 'secrets'],
  ['http', 'process', 'net', 'cron', 'time', 'random', 'sandbox'],
  ['approval', 'elicit', 'identity', 'uplink', 'uplink-source', 'security'],
  ['log', 'system-error'],
].flat();

/** What the modules above are made of, and the web's own names, which are there without an import. */
const INNER = [
  ['abort', 'body-stream', 'call', 'crypto', 'event-loop', 'fetch', 'globals', 'headers', 'structured-clone'],
  ['timers', 'url', 'url-encode', 'url-host', 'url-parse', 'url-search-params', 'utf8', 'web'],
].flat();

/** Modules of the SDK that this page neither tells nor leaves out on purpose. */
export function unplacedModules(): string[] {
  const placed = new Set([...MODULES, ...INNER].map((name) => `${name}.ts`));
  return readdirSync(SDK).filter((file) => !placed.has(file));
}

interface Row {
  readonly shape: string;
  readonly comment: string;
}

/** The whole page. The same sources give the same text. */
export function renderSdkPage(): string {
  return `${HEAD}${MODULES.map(renderModule).join('')}`;
}

function renderModule(name: string): string {
  const path = join(SDK, `${name}.ts`);
  const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true);
  const exported = source.statements.filter(isExported);
  const [first] = exported;
  // What is said of the first type in a module is meant of the module.
  const about = first !== undefined && isType(first) ? firstSentence(first) : '';
  const rows = exported.flatMap((statement) => {
    const told = rowsOf(statement, source);
    return statement === first && about !== '' ? told.map(({ shape }) => ({ shape, comment: '' })) : told;
  });
  const lines = rows.map(({ shape, comment }) => `| \`${cell(shape)}\` | ${cell(comment)} |`);
  const imported = name === 'capsule' ? 'astrid/sdk' : `astrid/sdk/${name}`;
  const intro = about === '' ? '' : `${cell(about)}\n\n`;
  return `\n## \`${imported}\`\n\n${intro}| what | what it does |\n|---|---|\n${lines.join('\n')}\n`;
}

function isType(statement: ts.Statement): boolean {
  return ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement);
}

function isExported(statement: ts.Statement): boolean {
  if (ts.isExportDeclaration(statement)) return statement.moduleSpecifier === undefined;
  const modifiers = ts.canHaveModifiers(statement) ? ts.getModifiers(statement) : undefined;
  return modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true;
}

function rowsOf(statement: ts.Statement, source: ts.SourceFile): Row[] {
  const comment = firstSentence(statement);
  if (ts.isFunctionDeclaration(statement)) {
    return isImplementation(statement, source) ? [] : [{ shape: signature(statement, nameOf(statement)), comment }];
  }
  if (ts.isExportDeclaration(statement)) return renamedRows(statement, source);
  if (ts.isClassDeclaration(statement)) return classRows(statement, comment);
  if (ts.isInterfaceDeclaration(statement)) {
    return [{ shape: `${nameOf(statement)} ${fieldsOf(statement.members)}`, comment }];
  }
  if (ts.isTypeAliasDeclaration(statement)) return [{ shape: nameOf(statement), comment }];
  if (!ts.isVariableStatement(statement)) return [];
  return statement.declarationList.declarations.flatMap((one) => constantRows(one, comment, source));
}

/** A function under the name that it could not have in its own module (`delete`). */
function renamedRows({ exportClause }: ts.ExportDeclaration, source: ts.SourceFile): Row[] {
  if (exportClause === undefined || !ts.isNamedExports(exportClause)) return [];
  return exportClause.elements.flatMap(({ name, propertyName }) => {
    const declared = functionOf((propertyName ?? name).getText(), source);
    return declared === undefined
      ? []
      : [{ shape: signature(declared, name.getText()), comment: firstSentence(declared) }];
  });
}

function functionOf(name: string, source: ts.SourceFile): ts.FunctionDeclaration | undefined {
  return source.statements.filter(ts.isFunctionDeclaration).find((other) => other.name?.text === name);
}

/** The body behind overloads: nobody can call it by its own parameters. */
function isImplementation(node: ts.FunctionDeclaration, source: ts.SourceFile): boolean {
  const sameName = (other: ts.Statement) => ts.isFunctionDeclaration(other) && other.name?.text === node.name?.text;
  return node.body !== undefined && source.statements.filter(sameName).length > 1;
}

function classRows(node: ts.ClassDeclaration, comment: string): Row[] {
  const name = nameOf(node);
  const fields = node.members.filter(ts.isPropertyDeclaration).filter(isOpen);
  const methods = node.members.filter(ts.isMethodDeclaration).filter(isOpen);
  return [
    { shape: `class ${name}${fields.length === 0 ? '' : ` ${fieldsOf(fields)}`}`, comment },
    ...methods.map((method) => ({
      shape: signature(method, `${name}.${nameOf(method)}`),
      comment: firstSentence(method),
    })),
  ];
}

function isOpen(member: ts.ClassElement): boolean {
  const { name } = member;
  return name !== undefined && !ts.isPrivateIdentifier(name);
}

/** A constant that is a table of functions (`s`) is told by its members. */
function constantRows(node: ts.VariableDeclaration, comment: string, source: ts.SourceFile): Row[] {
  const name = node.name.getText();
  const value =
    node.initializer !== undefined && ts.isAsExpression(node.initializer) ? node.initializer.expression : null;
  if (value === null || !ts.isObjectLiteralExpression(value)) return [{ shape: name, comment }];
  return value.properties.flatMap((property): Row[] => {
    const member = `${name}.${property.name?.getText() ?? ''}`;
    if (ts.isPropertyAssignment(property) && ts.isArrowFunction(property.initializer))
      return [{ shape: signature(property.initializer, member), comment: firstSentence(property) }];
    const named = functionOf(property.name?.getText() ?? '', source);
    return named === undefined ? [] : [{ shape: signature(named, member), comment: firstSentence(named) }];
  });
}

function signature(node: ts.SignatureDeclaration, name: string): string {
  const types = node.typeParameters === undefined ? '' : `<${node.typeParameters.map(textOf).join(', ')}>`;
  const result = node.type === undefined ? '' : `: ${textOf(node.type)}`;
  return `${name}${types}(${node.parameters.map(textOf).join(', ')})${result}`;
}

function fieldsOf(members: readonly (ts.TypeElement | ts.PropertyDeclaration)[]): string {
  const names = members.map((member) => `${member.name?.getText() ?? ''}${isOptional(member) ? '?' : ''}`);
  return `{ ${names.join(', ')} }`;
}

function isOptional(member: ts.TypeElement | ts.PropertyDeclaration): boolean {
  return 'questionToken' in member && member.questionToken !== undefined;
}

function nameOf(node: ts.NamedDeclaration): string {
  return node.name?.getText() ?? '';
}

/** As it stands in the source, without its comments, on one line. */
function textOf(node: ts.Node): string {
  const text = node.getText().replace(/\/\*\*.*?\*\//gs, '');
  return text.replaceAll(/\s+/g, ' ').replaceAll('( ', '(').replaceAll(', }', ' }').trim();
}

/** Of the comment before it; of a function without one, nothing. */
function firstSentence(node: ts.Node): string {
  const comment = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc).at(-1);
  const text = (ts.getTextOfJSDocComment(comment?.comment) ?? '').split('\n\n', 1)[0] ?? '';
  return /^.*?[.](?=\s|$)/s.exec(text)?.[0] ?? text;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll(/\s+/g, ' ').trim();
}
