// osls loads JavaScript; the parts of the template are TypeScript, which Node runs as it is.
const { template } = require('./template.ts');

module.exports = ({ options }) => {
  try {
    return template(options.stage ?? undefined);
  } catch (error) {
    // osls prints the stack: of a mistake in the stage's file, what is wrong and what to do.
    if (error.remedy !== undefined) error.stack = `${error.code}: ${error.message}\n  ${error.remedy}`;
    throw error;
  }
};
