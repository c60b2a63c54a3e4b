# frozen_string_literal: true

# Makes the tables: bundle exec ruby schema.rb
require_relative 'app'

ActiveRecord::Base.connection.execute(File.read(File.join(__dir__, 'schema.sql')))
