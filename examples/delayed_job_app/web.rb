# frozen_string_literal: true

# The web process, which stays where it is (on Heroku, say): tells how much is waiting.
# The satellite does not run it.
require_relative 'app'

server = TCPServer.new(Integer(ENV.fetch('PORT', '3000')))
loop do
  client = server.accept
  body = "#{Delayed::Job.where(failed_at: nil).count} jobs waiting\n"
  client.write "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n"
  client.write "Content-Length: #{body.bytesize}\r\n\r\n#{body}"
  client.close
end
