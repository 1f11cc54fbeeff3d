// osls loads JavaScript: the parts of the template are TypeScript, which Node runs as it is.
const { template } = require('./template.ts');

module.exports = ({ options }) => template(options.stage);
